"""Films, who plays in them, and the copies of them."""

from decimal import Decimal

from dvd_rental_pipeline.sample.dvd_rental.generator.words import (
    FIRST_NAMES,
    LAST_NAMES,
    SPECIAL_FEATURES,
    TITLE_ENDINGS,
    TITLE_OPENINGS,
)
from dvd_rental_pipeline.sample.dvd_rental.traffic.shop import NothingToDoError, Shop

_RATES = tuple(map(Decimal, ("0.99", "1.99", "2.99", "3.99", "4.99")))


def change_price(shop: Shop) -> None:
    """A film costs more, or less, from now on."""
    shop.run(
        "update film set rental_rate = %s where film_id = %s", [shop.rng.choice(_RATES), shop.pick("film")]
    )


def change_prices_of_category(shop: Shop) -> None:
    """All films of a category have a new term: one statement, many rows."""
    shop.run(
        "update film set rental_duration = %s"
        " where film_id in (select film_id from film_category where category_id = %s)",
        [shop.rng.randrange(3, 8), shop.pick("category")],
    )


def describe(shop: Shop) -> None:
    """A film has a new description, and other features; the search index follows by its trigger."""
    shop.run(
        "update film set description = %s, special_features = %s where film_id = %s",
        [
            f"The {shop.rng.choice(TITLE_OPENINGS).lower()} version",
            shop.rng.choice([None, [], ["Trailers"], list(SPECIAL_FEATURES)]),
            shop.pick("film"),
        ],
    )


def release(shop: Shop) -> None:
    """A new film, with its category, its actors, and copies in a store: one transaction over four tables."""
    film = shop.add(
        "film",
        title=_title(shop),
        description=f"In which the {shop.rng.choice(TITLE_ENDINGS).lower()} is found",
        release_year=shop.find("select extract(year from localtimestamp)::integer"),
        language_id=shop.pick("language"),
        rental_rate=shop.rng.choice(_RATES),
        length=shop.rng.randrange(60, 180),
        rating=shop.rng.choice(["G", "PG", "PG-13", "R", "NC-17"]),
        special_features=["Trailers"],
    )
    shop.run("insert into film_category (film_id, category_id) values (%s, %s)", [film, shop.pick("category")])
    for actor in {shop.pick("actor") for _ in range(4)}:
        shop.run("insert into film_actor (actor_id, film_id) values (%s, %s)", [actor, film])
    store = shop.pick("store")
    for _ in range(shop.rng.randrange(1, 5)):
        shop.add("inventory", film_id=film, store_id=store)


def announce(shop: Shop) -> None:
    """A film that there are no copies and no actors of yet."""
    film = shop.add("film", title=_title(shop), language_id=shop.pick("language"))
    shop.run("insert into film_category (film_id, category_id) values (%s, %s)", [film, shop.pick("category")])


def withdraw(shop: Shop) -> None:
    """A film that there are no copies of is deleted, with its category and its cast."""
    film = shop.pick("film", "not exists (select from inventory where inventory.film_id = film.film_id)")
    shop.remove(("film_actor", "film_id", film), ("film_category", "film_id", film), ("film", "film_id", film))


def restock(shop: Shop) -> None:
    """New copies of a film that is there."""
    film, store = shop.pick("film"), shop.pick("store")
    for _ in range(shop.rng.randrange(1, 4)):
        shop.add("inventory", film_id=film, store_id=store)


def transfer(shop: Shop) -> None:
    """A copy goes to another store."""
    shop.run(
        "update inventory set store_id = %s where inventory_id = %s",
        [shop.pick("store"), shop.pick("inventory")],
    )


def scrap(shop: Shop) -> None:
    """A copy that was never rented is deleted."""
    copy = shop.pick(
        "inventory", "not exists (select from rental where rental.inventory_id = inventory.inventory_id)"
    )
    shop.remove(("inventory", "inventory_id", copy))


def refile(shop: Shop) -> None:
    """A film goes to another category: part of a primary key changes."""
    film = shop.pick("film")
    if not shop.run(
        "update film_category set category_id = %s where film_id = %s"
        " and (select count(*) from film_category where film_id = %s) = 1",
        [shop.pick("category"), film, film],
    ):
        raise NothingToDoError


def refile_by_hand(shop: Shop) -> None:
    """A film goes to another category: a row is deleted, another inserted, in one transaction."""
    film = shop.pick("film")
    shop.run("delete from film_category where film_id = %s", [film])
    shop.run("insert into film_category (film_id, category_id) values (%s, %s)", [film, shop.pick("category")])


def recast(shop: Shop) -> None:
    """An actor of a film was another one: part of a primary key changes."""
    film, actor = _role(shop)
    other = shop.pick("actor")
    if shop.run("select from film_actor where film_id = %s and actor_id = %s", [film, other]):
        raise NothingToDoError
    shop.run("update film_actor set actor_id = %s where film_id = %s and actor_id = %s", [other, film, actor])


def cut(shop: Shop) -> None:
    """An actor is taken off the cast of a film."""
    film, actor = _role(shop)
    shop.run("delete from film_actor where film_id = %s and actor_id = %s", [film, actor])


def meet_actor(shop: Shop) -> None:
    """An actor who plays in nothing yet."""
    shop.add("actor", first_name=shop.rng.choice(FIRST_NAMES), last_name=shop.rng.choice(LAST_NAMES))


def rename_actor(shop: Shop) -> None:
    """An actor has a new last name."""
    shop.run(
        "update actor set last_name = %s where actor_id = %s",
        [shop.rng.choice(LAST_NAMES), shop.pick("actor")],
    )


def forget_actor(shop: Shop) -> None:
    """An actor who plays in nothing is deleted."""
    actor = shop.pick("actor", "not exists (select from film_actor where film_actor.actor_id = actor.actor_id)")
    shop.remove(("actor", "actor_id", actor))


def add_category_and_language(shop: Shop) -> None:
    """A category and a language that no film has yet."""
    shop.add("category", name=f"{shop.rng.choice(TITLE_OPENINGS)} Films")
    shop.add("language", name=f"{shop.rng.choice(LAST_NAMES)}ish"[:20])


def save_category_and_language(shop: Shop) -> None:
    """A category and a language are saved again."""
    shop.touch("category", shop.pick("category"))
    shop.touch("language", shop.pick("language"))


def drop_category(shop: Shop) -> None:
    """A category without films is deleted."""
    category = shop.pick(
        "category",
        "not exists (select from film_category where film_category.category_id = category.category_id)",
    )
    shop.remove(("category", "category_id", category))


def drop_language(shop: Shop) -> None:
    """A language with next to no films is deleted; they are filed under another one."""
    language = shop.pick(
        "language",
        "(select count(*) from film where film.language_id = language.language_id) <= 3"
        " and (select count(*) from language) > 3",
    )
    other = shop.find(
        "select language_id from language where language_id <> %s order by language_id limit 1", [language]
    )
    shop.run("update film set language_id = %s where language_id = %s", [other, language])
    shop.remove(("language", "language_id", language))


def _role(shop: Shop) -> tuple[int, int]:
    film = shop.pick("film", "exists (select from film_actor where film_actor.film_id = film.film_id)")
    return film, shop.find(
        "select actor_id from film_actor where film_id = %s order by actor_id limit 1", [film]
    )


def _title(shop: Shop) -> str:
    number = shop.rng.randrange(2, 100)
    return f"{shop.rng.choice(TITLE_OPENINGS)} {shop.rng.choice(TITLE_ENDINGS)} {number}"
