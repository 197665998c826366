"""Customers, where they live, the staff and the stores."""

from dvd_rental_pipeline.sample.dvd_rental.generator.people import ascii_letters, email
from dvd_rental_pipeline.sample.dvd_rental.generator.words import (
    FIRST_NAMES,
    LAST_NAMES,
    STREET_KINDS,
    STREETS,
    TITLE_ENDINGS,
)
from dvd_rental_pipeline.sample.dvd_rental.traffic.shop import Shop


def join(shop: Shop) -> None:
    """A new customer, with an address in a city that is known."""
    _new_customer(shop, _new_address(shop, shop.pick("city")))


def join_from_afar(shop: Shop) -> None:
    """A new customer from a city, and at times a country, that nobody came from before."""
    country = shop.pick("country") if shop.rng.random() < 0.5 else _new_country(shop)
    city = shop.add("city", city=f"New {shop.rng.choice(TITLE_ENDINGS)}", country_id=country)
    _new_customer(shop, _new_address(shop, city))


def enter_place(shop: Shop) -> None:
    """A country and a city of it are entered in advance."""
    shop.add("city", city=f"Port {shop.rng.choice(TITLE_ENDINGS)}", country_id=_new_country(shop))


def move(shop: Shop) -> None:
    """A customer moves house: the address changes in place."""
    address = shop.find("select address_id from customer where customer_id = %s", [shop.pick("customer")])
    shop.run(
        "update address set address = %s, city_id = %s, postal_code = %s where address_id = %s",
        [_street(shop), shop.pick("city"), f"{shop.rng.randrange(100_000):05d}", address],
    )


def move_to_new_address(shop: Shop) -> None:
    """A customer moves house: there is a new address, the old one stays on file."""
    shop.run(
        "update customer set address_id = %s where customer_id = %s",
        [_new_address(shop, shop.pick("city")), shop.pick("customer")],
    )


def change_email(shop: Shop) -> None:
    """A customer has a new e-mail address, or none any more."""
    customer = shop.pick("customer")
    if shop.rng.random() < 0.1:
        shop.run("update customer set email = null where customer_id = %s", [customer])
    else:
        first, last = _name(shop)
        shop.run(
            "update customer set email = %s where customer_id = %s",
            [email(first, last, customer, "new.example"), customer],
        )


def marry(shop: Shop) -> None:
    """A customer has a new last name."""
    shop.run(
        "update customer set last_name = %s where customer_id = %s",
        [shop.rng.choice(LAST_NAMES), shop.pick("customer")],
    )


def change_home_store(shop: Shop) -> None:
    """A customer goes to another store from now on."""
    shop.run(
        "update customer set store_id = %s where customer_id = %s", [shop.pick("store"), shop.pick("customer")]
    )


def leave_or_return(shop: Shop) -> None:
    """A customer becomes inactive, or active again."""
    shop.run(
        "update customer set active = 1 - coalesce(active, 1) where customer_id = %s", [shop.pick("customer")]
    )


def forget_customer(shop: Shop) -> None:
    """A customer who never rented nor paid is deleted."""
    customer = shop.pick(
        "customer",
        "not exists (select from rental where rental.customer_id = customer.customer_id)"
        " and not exists (select from payment where payment.customer_id = customer.customer_id)",
    )
    shop.remove(("customer", "customer_id", customer))


def clear_address(shop: Shop) -> None:
    """An address where nobody lives any more is deleted."""
    address = shop.pick(
        "address",
        "not exists (select from customer where customer.address_id = address.address_id)"
        " and not exists (select from staff where staff.address_id = address.address_id)"
        " and not exists (select from store where store.address_id = address.address_id)",
    )
    shop.remove(("address", "address_id", address))


def clear_place(shop: Shop) -> None:
    """A city without an address is deleted, and its country if that was the only one."""
    city = shop.pick("city", "not exists (select from address where address.city_id = city.city_id)")
    country = shop.find("select country_id from city where city_id = %s", [city])
    alone = shop.find("select count(*) = 1 from city where country_id = %s", [country])
    shop.remove(("city", "city_id", city), *([("country", "country_id", country)] if alone else []))


def clear_country(shop: Shop) -> None:
    """A country without a city is deleted; or one whose only city has no address, with that city."""
    country = shop.pick(
        "country",
        "not exists (select from city join address using (city_id) where city.country_id = country.country_id)",
    )
    shop.remove(("city", "country_id", country), ("country", "country_id", country))


def save_place(shop: Shop) -> None:
    """A city and its country are saved again."""
    city = shop.pick("city")
    shop.touch("city", city)
    shop.touch("country", shop.find("select country_id from city where city_id = %s", [city]))


def hire(shop: Shop) -> None:
    """A new member of staff, who has not begun yet."""
    _new_staff(shop, shop.pick("store"), active=False)


def change_staff(shop: Shop) -> None:
    """A member of staff has a new password, a new picture or another store to work in, or begins to work."""
    staff = shop.pick("staff")
    statement, value = shop.rng.choice(
        [
            ("update staff set password = %s where staff_id = %s", shop.rng.randbytes(20).hex()),
            ("update staff set picture = %s where staff_id = %s", shop.rng.randbytes(256)),
            ("update staff set store_id = %s where staff_id = %s", shop.pick("store")),
            ("update staff set active = %s where staff_id = %s", True),
        ]
    )
    shop.run(statement, [value, staff])


def dismiss(shop: Shop) -> None:
    """A member of staff who has done nothing yet is deleted."""
    shop.remove(("staff", "staff_id", shop.pick("staff", _DISPENSABLE)))


def open_store(shop: Shop) -> None:
    """A new store, with its manager; its copies will come."""
    # The manager's store does not exist yet; no foreign key minds.
    manager = _new_staff(shop, shop.pick("store"))
    address = _new_address(shop, shop.pick("city"))
    store = shop.add("store", manager_staff_id=manager, address_id=address)
    shop.run("update staff set store_id = %s where staff_id = %s", [store, manager])


def close_store(shop: Shop) -> None:
    """A store that never throve is deleted; its copies, customers and staff go to another one."""
    store = shop.pick(
        "store",
        "(select count(*) from inventory where inventory.store_id = store.store_id) <= 50"
        " and (select count(*) from store) > 1",
    )
    # First of all, so that nobody still brings a copy in.
    shop.find("select store_id from store where store_id = %s for update", [store])
    other = shop.find(
        "select store_id from store where store_id <> %s order by store_id limit 1 for key share", [store]
    )
    shop.run("update inventory set store_id = %s where store_id = %s", [other, store])
    shop.run("update customer set store_id = %s where store_id = %s", [other, store])
    shop.run("update staff set store_id = %s where store_id = %s", [other, store])
    shop.remove(("store", "store_id", store))


def change_store(shop: Shop) -> None:
    """A store moves within the city, to a new address."""
    store = shop.pick("store")
    city = shop.find("select city_id from store join address using (address_id) where store_id = %s", [store])
    shop.run("update store set address_id = %s where store_id = %s", [_new_address(shop, city), store])


_DISPENSABLE = (
    "not exists (select from rental where rental.staff_id = staff.staff_id)"
    " and not exists (select from payment where payment.staff_id = staff.staff_id)"
    " and not exists (select from store where store.manager_staff_id = staff.staff_id)"
)


def _new_customer(shop: Shop, address: int) -> None:
    first, last = _name(shop)
    customer = shop.add(
        "customer",
        store_id=shop.pick("store"),
        first_name=first,
        last_name=last,
        address_id=address,
        active=1,
    )
    shop.run(
        "update customer set email = %s where customer_id = %s",
        [email(first, last, customer, "customer.example"), customer],
    )


def _new_staff(shop: Shop, store: int, *, active: bool = True) -> int:
    first, last = _name(shop)
    address = _new_address(shop, shop.pick("city"))
    return shop.add(
        "staff",
        first_name=first,
        last_name=last,
        address_id=address,
        email=email(first, last, address, "staff.example"),
        store_id=store,
        active=active,
        username=f"{ascii_letters(first)[:10]}{address}",
        password=shop.rng.randbytes(20).hex(),
    )


def _new_country(shop: Shop) -> int:
    return shop.add("country", country=f"Republic of {shop.rng.choice(LAST_NAMES)}")


def _new_address(shop: Shop, city: int) -> int:
    return shop.add(
        "address",
        address=_street(shop),
        address2=shop.rng.choice(["", "", None]),
        district=shop.rng.choice(["", "North", "South"]),
        city_id=city,
        postal_code=f"{shop.rng.randrange(100_000):05d}",
        phone=str(shop.rng.randrange(10**9, 10**12)),
    )


def _street(shop: Shop) -> str:
    return f"{shop.rng.randrange(1, 2000)} {shop.rng.choice(STREETS)} {shop.rng.choice(STREET_KINDS)}"


def _name(shop: Shop) -> tuple[str, str]:
    return shop.rng.choice(FIRST_NAMES), shop.rng.choice(LAST_NAMES)
