"""The kinds of event, and how often each happens."""

from collections.abc import Callable

from dvd_rental_pipeline.sample.dvd_rental.traffic import films, people, trade
from dvd_rental_pipeline.sample.dvd_rental.traffic.shop import Shop

Event = Callable[[Shop], None]


def bring_back(shop: Shop) -> None:
    """Something was deleted by mistake: it comes back with its old key."""
    shop.bring_back()


WEIGHTS: dict[Event, int] = {
    trade.rent: 300,
    trade.give_back: 270,
    trade.pay_late: 60,
    trade.waive: 5,
    trade.pay_for_another: 5,
    trade.correct_payment: 15,
    trade.correct_rental: 5,
    trade.cancel_rental: 10,
    trade.refund: 5,
    trade.change_of_mind: 10,
    trade.abandon: 10,
    people.join: 40,
    people.join_from_afar: 5,
    people.enter_place: 1,
    people.move: 20,
    people.move_to_new_address: 8,
    people.change_email: 20,
    people.marry: 5,
    people.change_home_store: 8,
    people.leave_or_return: 12,
    people.forget_customer: 3,
    people.clear_address: 3,
    people.clear_place: 1,
    people.clear_country: 1,
    people.save_place: 3,
    people.hire: 1,
    people.change_staff: 3,
    people.dismiss: 1,
    people.open_store: 1,
    people.close_store: 1,
    people.change_store: 1,
    films.change_price: 25,
    films.change_prices_of_category: 2,
    films.describe: 8,
    films.release: 8,
    films.announce: 3,
    films.withdraw: 2,
    films.restock: 20,
    films.transfer: 10,
    films.scrap: 5,
    films.refile: 3,
    films.refile_by_hand: 2,
    films.recast: 3,
    films.cut: 3,
    films.meet_actor: 3,
    films.rename_actor: 3,
    films.forget_actor: 2,
    films.add_category_and_language: 1,
    films.save_category_and_language: 3,
    films.drop_category: 1,
    films.drop_language: 1,
    bring_back: 10,
}
"""Each kind of event by its share of all events, in no unit."""
