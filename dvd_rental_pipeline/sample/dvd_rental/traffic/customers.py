"""Events on customers."""

from dvd_rental_pipeline.sample.dvd_rental.generator.people import email
from dvd_rental_pipeline.sample.dvd_rental.generator.words import FIRST_NAMES, LAST_NAMES, TITLE_ENDINGS
from dvd_rental_pipeline.sample.dvd_rental.traffic.addresses import (
    insert_address,
    insert_country,
    random_street,
)
from dvd_rental_pipeline.sample.dvd_rental.traffic.session import TrafficSession


def insert_customer(session: TrafficSession) -> None:
    """A new customer with a new address in an existing city."""
    _insert_customer(session, insert_address(session, session.pick("city")))


def insert_customer_in_new_city(session: TrafficSession) -> None:
    """A new customer in a new city, in half of the cases of a new country."""
    country = session.pick("country") if session.rng.random() < 0.5 else insert_country(session)
    city = session.insert("city", city=f"New {session.rng.choice(TITLE_ENDINGS)}", country_id=country)
    _insert_customer(session, insert_address(session, city))


def change_address(session: TrafficSession) -> None:
    """A customer moves: the address row is updated."""
    address = session.find("select address_id from customer where customer_id = %s", [session.pick("customer")])
    session.run(
        "update address set address = %s, city_id = %s, postal_code = %s where address_id = %s",
        [random_street(session), session.pick("city"), f"{session.rng.randrange(100_000):05d}", address],
    )


def move_to_new_address(session: TrafficSession) -> None:
    """A customer moves: a new address row is inserted, the old one stays."""
    session.run(
        "update customer set address_id = %s where customer_id = %s",
        [insert_address(session, session.pick("city")), session.pick("customer")],
    )


def change_email(session: TrafficSession) -> None:
    """The e-mail address of a customer changes, or is removed."""
    customer = session.pick("customer")
    if session.rng.random() < 0.1:
        session.run("update customer set email = null where customer_id = %s", [customer])
    else:
        first, last = random_name(session)
        session.run(
            "update customer set email = %s where customer_id = %s",
            [email(first, last, customer, "new.example"), customer],
        )


def change_last_name(session: TrafficSession) -> None:
    """The last name of a customer changes."""
    session.run(
        "update customer set last_name = %s where customer_id = %s",
        [session.rng.choice(LAST_NAMES), session.pick("customer")],
    )


def change_home_store(session: TrafficSession) -> None:
    """The home store of a customer changes."""
    session.run(
        "update customer set store_id = %s where customer_id = %s",
        [session.pick("store"), session.pick("customer")],
    )


def toggle_active(session: TrafficSession) -> None:
    """A customer becomes inactive, or active again."""
    session.run(
        "update customer set active = 1 - coalesce(active, 1) where customer_id = %s",
        [session.pick("customer")],
    )


def delete_customer(session: TrafficSession) -> None:
    """A customer without rentals and payments is deleted."""
    customer = session.pick(
        "customer",
        "not exists (select from rental where rental.customer_id = customer.customer_id)"
        " and not exists (select from payment where payment.customer_id = customer.customer_id)",
    )
    session.delete(("customer", "customer_id", customer))


def random_name(session: TrafficSession) -> tuple[str, str]:
    """Return a first and a last name."""
    return session.rng.choice(FIRST_NAMES), session.rng.choice(LAST_NAMES)


def _insert_customer(session: TrafficSession, address: int) -> None:
    first, last = random_name(session)
    customer = session.insert(
        "customer",
        store_id=session.pick("store"),
        first_name=first,
        last_name=last,
        address_id=address,
        active=1,
    )
    session.run(
        "update customer set email = %s where customer_id = %s",
        [email(first, last, customer, "customer.example"), customer],
    )
