"""Events on films, their categories, actors and languages, and on copies."""

from decimal import Decimal

from dvd_rental_pipeline.sample.dvd_rental.generator.words import (
    FIRST_NAMES,
    LAST_NAMES,
    SPECIAL_FEATURES,
    TITLE_ENDINGS,
    TITLE_OPENINGS,
)
from dvd_rental_pipeline.sample.dvd_rental.traffic.session import NoSuitableRowError, TrafficSession

_RATES = tuple(map(Decimal, ("0.99", "1.99", "2.99", "3.99", "4.99")))


def change_price(session: TrafficSession) -> None:
    """The price of a film changes."""
    session.run(
        "update film set rental_rate = %s where film_id = %s",
        [session.rng.choice(_RATES), session.pick("film")],
    )


def change_rental_duration_of_category(session: TrafficSession) -> None:
    """The rental duration of all films of a category changes: one statement, many rows."""
    session.run(
        "update film set rental_duration = %s"
        " where film_id in (select film_id from film_category where category_id = %s)",
        [session.rng.randrange(3, 8), session.pick("category")],
    )


def change_description(session: TrafficSession) -> None:
    """The description and features of a film change; a trigger updates the search index."""
    session.run(
        "update film set description = %s, special_features = %s where film_id = %s",
        [
            f"The {session.rng.choice(TITLE_OPENINGS).lower()} version",
            session.rng.choice([None, [], ["Trailers"], list(SPECIAL_FEATURES)]),
            session.pick("film"),
        ],
    )


def insert_film_with_copies(session: TrafficSession) -> None:
    """A new film with its category, actors and copies: one transaction over four tables."""
    film = session.insert(
        "film",
        title=_random_title(session),
        description=f"In which the {session.rng.choice(TITLE_ENDINGS).lower()} is found",
        release_year=session.find("select extract(year from localtimestamp)::integer"),
        language_id=session.pick("language"),
        rental_rate=session.rng.choice(_RATES),
        length=session.rng.randrange(60, 180),
        rating=session.rng.choice(["G", "PG", "PG-13", "R", "NC-17"]),
        special_features=["Trailers"],
    )
    session.run(
        "insert into film_category (film_id, category_id) values (%s, %s)", [film, session.pick("category")]
    )
    for actor in {session.pick("actor") for _ in range(4)}:
        session.run("insert into film_actor (actor_id, film_id) values (%s, %s)", [actor, film])
    store = session.pick("store")
    for _ in range(session.rng.randrange(1, 5)):
        session.insert("inventory", film_id=film, store_id=store)


def insert_film_without_copies(session: TrafficSession) -> None:
    """A new film without copies and actors."""
    film = session.insert("film", title=_random_title(session), language_id=session.pick("language"))
    session.run(
        "insert into film_category (film_id, category_id) values (%s, %s)", [film, session.pick("category")]
    )


def delete_film(session: TrafficSession) -> None:
    """A film without copies is deleted, with its category and actors."""
    film = session.pick("film", "not exists (select from inventory where inventory.film_id = film.film_id)")
    session.delete(
        ("film_actor", "film_id", film), ("film_category", "film_id", film), ("film", "film_id", film)
    )


def insert_copies(session: TrafficSession) -> None:
    """A film gets new copies."""
    film, store = session.pick("film"), session.pick("store")
    for _ in range(session.rng.randrange(1, 4)):
        session.insert("inventory", film_id=film, store_id=store)


def move_copy(session: TrafficSession) -> None:
    """A copy moves to another store."""
    session.run(
        "update inventory set store_id = %s where inventory_id = %s",
        [session.pick("store"), session.pick("inventory")],
    )


def delete_copy(session: TrafficSession) -> None:
    """A copy that was never rented is deleted."""
    copy = session.pick(
        "inventory", "not exists (select from rental where rental.inventory_id = inventory.inventory_id)"
    )
    session.delete(("inventory", "inventory_id", copy))


def update_film_category(session: TrafficSession) -> None:
    """A film gets another category: part of a primary key changes."""
    film = session.pick("film")
    if not session.run(
        "update film_category set category_id = %s where film_id = %s"
        " and (select count(*) from film_category where film_id = %s) = 1",
        [session.pick("category"), film, film],
    ):
        raise NoSuitableRowError


def replace_film_category(session: TrafficSession) -> None:
    """A film gets another category: one row is deleted and another inserted in one transaction."""
    film = session.pick("film")
    session.run("delete from film_category where film_id = %s", [film])
    session.run(
        "insert into film_category (film_id, category_id) values (%s, %s)", [film, session.pick("category")]
    )


def update_film_actor(session: TrafficSession) -> None:
    """An actor of a film is replaced by another: part of a primary key changes."""
    film, actor = _random_film_actor(session)
    other = session.pick("actor")
    if session.run("select from film_actor where film_id = %s and actor_id = %s", [film, other]):
        raise NoSuitableRowError
    session.run(
        "update film_actor set actor_id = %s where film_id = %s and actor_id = %s", [other, film, actor]
    )


def delete_film_actor(session: TrafficSession) -> None:
    """An actor is removed from a film."""
    film, actor = _random_film_actor(session)
    session.run("delete from film_actor where film_id = %s and actor_id = %s", [film, actor])


def insert_actor(session: TrafficSession) -> None:
    """A new actor, without films."""
    session.insert(
        "actor", first_name=session.rng.choice(FIRST_NAMES), last_name=session.rng.choice(LAST_NAMES)
    )


def rename_actor(session: TrafficSession) -> None:
    """The last name of an actor changes."""
    session.run(
        "update actor set last_name = %s where actor_id = %s",
        [session.rng.choice(LAST_NAMES), session.pick("actor")],
    )


def delete_actor(session: TrafficSession) -> None:
    """An actor without films is deleted."""
    actor = session.pick(
        "actor", "not exists (select from film_actor where film_actor.actor_id = actor.actor_id)"
    )
    session.delete(("actor", "actor_id", actor))


def insert_category_and_language(session: TrafficSession) -> None:
    """A new category and a new language, without films."""
    session.insert("category", name=f"{session.rng.choice(TITLE_OPENINGS)} Films")
    session.insert("language", name=f"{session.rng.choice(LAST_NAMES)}ish"[:20])


def touch_category_and_language(session: TrafficSession) -> None:
    """A category and a language are updated without a change."""
    session.touch("category", session.pick("category"))
    session.touch("language", session.pick("language"))


def delete_category(session: TrafficSession) -> None:
    """A category without films is deleted."""
    category = session.pick(
        "category",
        "not exists (select from film_category where film_category.category_id = category.category_id)",
    )
    session.delete(("category", "category_id", category))


def delete_language(session: TrafficSession) -> None:
    """A language of at most three films is deleted; the films get another one."""
    language = session.pick(
        "language",
        "(select count(*) from film where film.language_id = language.language_id) <= 3"
        " and (select count(*) from language) > 3",
    )
    other = session.find(
        "select language_id from language where language_id <> %s order by language_id limit 1", [language]
    )
    session.run("update film set language_id = %s where language_id = %s", [other, language])
    session.delete(("language", "language_id", language))


def _random_film_actor(session: TrafficSession) -> tuple[int, int]:
    film = session.pick("film", "exists (select from film_actor where film_actor.film_id = film.film_id)")
    return film, session.find(
        "select actor_id from film_actor where film_id = %s order by actor_id limit 1", [film]
    )


def _random_title(session: TrafficSession) -> str:
    number = session.rng.randrange(2, 100)
    return f"{session.rng.choice(TITLE_OPENINGS)} {session.rng.choice(TITLE_ENDINGS)} {number}"
