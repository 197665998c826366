"""Events on staff and stores."""

from dvd_rental_pipeline.sample.dvd_rental.generator.people import ascii_letters, email
from dvd_rental_pipeline.sample.dvd_rental.traffic.addresses import insert_address
from dvd_rental_pipeline.sample.dvd_rental.traffic.customers import random_name
from dvd_rental_pipeline.sample.dvd_rental.traffic.session import TrafficSession

_WITHOUT_REFERENCES = (
    "not exists (select from rental where rental.staff_id = staff.staff_id)"
    " and not exists (select from payment where payment.staff_id = staff.staff_id)"
    " and not exists (select from store where store.manager_staff_id = staff.staff_id)"
)


def insert_staff(session: TrafficSession) -> None:
    """A new, inactive staff member."""
    _insert_staff(session, session.pick("store"), active=False)


def update_staff(session: TrafficSession) -> None:
    """The password, picture or store of a staff member changes, or the member becomes active."""
    staff = session.pick("staff")
    statement, value = session.rng.choice(
        [
            ("update staff set password = %s where staff_id = %s", session.rng.randbytes(20).hex()),
            ("update staff set picture = %s where staff_id = %s", session.rng.randbytes(256)),
            ("update staff set store_id = %s where staff_id = %s", session.pick("store")),
            ("update staff set active = %s where staff_id = %s", True),
        ]
    )
    session.run(statement, [value, staff])


def delete_staff(session: TrafficSession) -> None:
    """A staff member without rentals, payments and stores is deleted."""
    session.delete(("staff", "staff_id", session.pick("staff", _WITHOUT_REFERENCES)))


def insert_store(session: TrafficSession) -> None:
    """A new store with its manager, without copies."""
    # The manager's store does not exist yet; no foreign key requires it.
    manager = _insert_staff(session, session.pick("store"))
    address = insert_address(session, session.pick("city"))
    store = session.insert("store", manager_staff_id=manager, address_id=address)
    session.run("update staff set store_id = %s where staff_id = %s", [store, manager])


def delete_store(session: TrafficSession) -> None:
    """A store with at most 50 copies is deleted; its copies, customers and staff move to another one."""
    store = session.pick(
        "store",
        "(select count(*) from inventory where inventory.store_id = store.store_id) <= 50"
        " and (select count(*) from store) > 1",
    )
    # Locked first, so that no other session adds a copy.
    session.find("select store_id from store where store_id = %s for update", [store])
    other = session.find(
        "select store_id from store where store_id <> %s order by store_id limit 1 for key share", [store]
    )
    session.run("update inventory set store_id = %s where store_id = %s", [other, store])
    session.run("update customer set store_id = %s where store_id = %s", [other, store])
    session.run("update staff set store_id = %s where store_id = %s", [other, store])
    session.delete(("store", "store_id", store))


def move_store(session: TrafficSession) -> None:
    """A store moves to a new address in the same city."""
    store = session.pick("store")
    city = session.find(
        "select city_id from store join address using (address_id) where store_id = %s", [store]
    )
    session.run("update store set address_id = %s where store_id = %s", [insert_address(session, city), store])


def _insert_staff(session: TrafficSession, store: int, *, active: bool = True) -> int:
    first, last = random_name(session)
    address = insert_address(session, session.pick("city"))
    return session.insert(
        "staff",
        first_name=first,
        last_name=last,
        address_id=address,
        email=email(first, last, address, "staff.example"),
        store_id=store,
        active=active,
        username=f"{ascii_letters(first)[:10]}{address}",
        password=session.rng.randbytes(20).hex(),
    )
