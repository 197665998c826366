"""Events on addresses, cities and countries."""

from dvd_rental_pipeline.sample.dvd_rental.generator.words import (
    LAST_NAMES,
    STREET_KINDS,
    STREETS,
    TITLE_ENDINGS,
)
from dvd_rental_pipeline.sample.dvd_rental.traffic.session import TrafficSession


def insert_city_and_country(session: TrafficSession) -> None:
    """A new country with a city, without addresses."""
    session.insert("city", city=f"Port {session.rng.choice(TITLE_ENDINGS)}", country_id=insert_country(session))


def delete_address(session: TrafficSession) -> None:
    """An unused address is deleted."""
    address = session.pick(
        "address",
        "not exists (select from customer where customer.address_id = address.address_id)"
        " and not exists (select from staff where staff.address_id = address.address_id)"
        " and not exists (select from store where store.address_id = address.address_id)",
    )
    session.delete(("address", "address_id", address))


def delete_city(session: TrafficSession) -> None:
    """A city without addresses is deleted, and its country if that was its only city."""
    city = session.pick("city", "not exists (select from address where address.city_id = city.city_id)")
    country = session.find("select country_id from city where city_id = %s", [city])
    alone = session.find("select count(*) = 1 from city where country_id = %s", [country])
    session.delete(("city", "city_id", city), *([("country", "country_id", country)] if alone else []))


def delete_country(session: TrafficSession) -> None:
    """A country without addresses is deleted, with its cities."""
    country = session.pick(
        "country",
        "not exists (select from city join address using (city_id) where city.country_id = country.country_id)",
    )
    session.delete(("city", "country_id", country), ("country", "country_id", country))


def touch_city_and_country(session: TrafficSession) -> None:
    """A city and its country are updated without a change."""
    city = session.pick("city")
    session.touch("city", city)
    session.touch("country", session.find("select country_id from city where city_id = %s", [city]))


def insert_country(session: TrafficSession) -> int:
    """Insert a country without cities; return its key."""
    return session.insert("country", country=f"Republic of {session.rng.choice(LAST_NAMES)}")


def insert_address(session: TrafficSession, city: int) -> int:
    """Insert an address; return its key."""
    return session.insert(
        "address",
        address=random_street(session),
        address2=session.rng.choice(["", "", None]),
        district=session.rng.choice(["", "North", "South"]),
        city_id=city,
        postal_code=f"{session.rng.randrange(100_000):05d}",
        phone=str(session.rng.randrange(10**9, 10**12)),
    )


def random_street(session: TrafficSession) -> str:
    """Return a house number and street."""
    return f"{session.rng.randrange(1, 2000)} {session.rng.choice(STREETS)} {session.rng.choice(STREET_KINDS)}"
