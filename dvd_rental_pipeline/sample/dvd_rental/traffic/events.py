"""The kinds of event and their frequencies."""

from collections.abc import Callable

from dvd_rental_pipeline.sample.dvd_rental.traffic import addresses, customers, films, rentals, stores
from dvd_rental_pipeline.sample.dvd_rental.traffic.session import TrafficSession

Event = Callable[[TrafficSession], None]


def restore_deleted_rows(session: TrafficSession) -> None:
    """Rows that were deleted are inserted again with their old keys."""
    session.restore_deleted()


WEIGHTS: dict[Event, int] = {
    rentals.rent_copy: 300,
    rentals.return_copy: 270,
    rentals.pay_unpaid_rental: 60,
    rentals.record_zero_payment: 5,
    rentals.pay_other_customers_rental: 5,
    rentals.correct_payment: 15,
    rentals.correct_rental: 5,
    rentals.delete_rental: 10,
    rentals.delete_payment: 5,
    rentals.rent_with_savepoint_rollback: 10,
    rentals.rent_and_roll_back: 10,
    customers.insert_customer: 40,
    customers.insert_customer_in_new_city: 5,
    addresses.insert_city_and_country: 1,
    customers.change_address: 20,
    customers.move_to_new_address: 8,
    customers.change_email: 20,
    customers.change_last_name: 5,
    customers.change_home_store: 8,
    customers.toggle_active: 12,
    customers.delete_customer: 3,
    addresses.delete_address: 3,
    addresses.delete_city: 1,
    addresses.delete_country: 1,
    addresses.touch_city_and_country: 3,
    stores.insert_staff: 1,
    stores.update_staff: 3,
    stores.delete_staff: 1,
    stores.insert_store: 1,
    stores.delete_store: 1,
    stores.move_store: 1,
    films.change_price: 25,
    films.change_rental_duration_of_category: 2,
    films.change_description: 8,
    films.insert_film_with_copies: 8,
    films.insert_film_without_copies: 3,
    films.delete_film: 2,
    films.insert_copies: 20,
    films.move_copy: 10,
    films.delete_copy: 5,
    films.update_film_category: 3,
    films.replace_film_category: 2,
    films.update_film_actor: 3,
    films.delete_film_actor: 3,
    films.insert_actor: 3,
    films.rename_actor: 3,
    films.delete_actor: 2,
    films.insert_category_and_language: 1,
    films.touch_category_and_language: 3,
    films.delete_category: 1,
    films.delete_language: 1,
    restore_deleted_rows: 10,
}
"""The relative frequency of each kind of event."""
