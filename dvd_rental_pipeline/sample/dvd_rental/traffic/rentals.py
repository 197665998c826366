"""Rentals, returns and payments."""

import psycopg

from dvd_rental_pipeline.sample.dvd_rental.traffic.session import NoSuitableRowError, TrafficSession

_MAX_COPIES_TRIED = 25

# The rate, and one dollar per started day after the rental duration, for twenty days at most.
_AMOUNT_DUE = """
    select rental_rate + least(20, greatest(0, ceil(extract(epoch from
        coalesce(return_date, localtimestamp) - rental_date) / 86400 - rental_duration)))
    from rental join inventory using (inventory_id) join film using (film_id)
    where rental_id = %s
"""


def rent_copy(session: TrafficSession) -> None:
    """A customer rents an available copy; 30% pay immediately."""
    rental = _insert_rental(session)
    if session.rng.random() < 0.3:
        _pay(session, rental)


def return_copy(session: TrafficSession) -> None:
    """A copy is returned; 70% of the customers pay then, late fees included."""
    rental = session.take_open_rental()
    if not session.run(
        "update rental set return_date = localtimestamp"
        " where rental_id = %s and return_date is null and rental_date < localtimestamp",
        [rental],
    ):
        raise NoSuitableRowError
    if session.rng.random() < 0.7:
        _pay(session, rental)


def pay_unpaid_rental(session: TrafficSession) -> None:
    """A customer pays an unpaid rental."""
    _pay(session, _unpaid_rental(session))


def record_zero_payment(session: TrafficSession) -> None:
    """An unpaid rental gets a payment of 0."""
    rental = _unpaid_rental(session)
    _insert_payment(session, rental, _customer_of(session, rental), 0)


def pay_other_customers_rental(session: TrafficSession) -> None:
    """A customer pays a rental of another customer."""
    rental = session.pick("rental")
    other = session.pick("customer")
    if other == _customer_of(session, rental):
        raise NoSuitableRowError
    _insert_payment(session, rental, other, session.rng.choice(["0.99", "2.99", "4.99"]))


def correct_payment(session: TrafficSession) -> None:
    """The amount of a payment is corrected."""
    payment = session.pick("payment")
    session.run(
        "update payment set amount = case when amount > 1 then amount - 1 else amount + 1 end"
        " where payment_id = %s",
        [payment],
    )


def correct_rental(session: TrafficSession) -> None:
    """The staff member of a rental is corrected."""
    session.run(
        "update rental set staff_id = %s where rental_id = %s", [session.pick("staff"), session.pick("rental")]
    )


def delete_rental(session: TrafficSession) -> None:
    """A rental is deleted, after its payments: the schema allows no other order."""
    rental = session.pick("rental", "return_date is not null")
    session.delete(("payment", "rental_id", rental), ("rental", "rental_id", rental))


def delete_payment(session: TrafficSession) -> None:
    """A payment is deleted."""
    session.delete(("payment", "payment_id", session.pick("payment")))


def rent_with_savepoint_rollback(session: TrafficSession) -> None:
    """A customer rents a copy; a second rental is rolled back to a savepoint."""
    _insert_rental(session)
    with session.savepoint_rollback():
        _insert_rental(session, keep_open=False)


def rent_and_roll_back(session: TrafficSession) -> None:
    """A rental and its payment are rolled back with the whole transaction."""
    _pay(session, _insert_rental(session, keep_open=False))
    raise psycopg.Rollback


def _insert_rental(session: TrafficSession, *, keep_open: bool = True) -> int:
    customer = session.pick("customer", "coalesce(active, 1) = 1")
    for _ in range(_MAX_COPIES_TRIED):
        # Locked, so that no other session rents out the same copy.
        copy = session.find(
            "select inventory_id from inventory where inventory_id = %s for no key update",
            [session.pick("inventory")],
        )
        if not session.run(
            "select from rental where inventory_id = %s and coalesce(return_date, 'infinity') > localtimestamp",
            [copy],
        ):
            break
    else:
        raise NoSuitableRowError
    rental: int = session.find(
        "insert into rental (rental_date, inventory_id, customer_id, staff_id)"
        " values (localtimestamp, %s, %s, %s) returning rental_id",
        [copy, customer, session.pick("staff", "active")],
    )
    if keep_open:
        session.add_open_rental(rental)
    return rental


def _unpaid_rental(session: TrafficSession) -> int:
    return session.pick("rental", "not exists (select from payment where payment.rental_id = rental.rental_id)")


def _customer_of(session: TrafficSession, rental: int) -> int:
    customer: int = session.find("select customer_id from rental where rental_id = %s", [rental])
    return customer


def _pay(session: TrafficSession, rental: int) -> None:
    _insert_payment(session, rental, _customer_of(session, rental), session.find(_AMOUNT_DUE, [rental]))


def _insert_payment(session: TrafficSession, rental: int, customer: int, amount: object) -> None:
    session.run(
        "insert into payment (customer_id, staff_id, rental_id, amount, payment_date)"
        " values (%s, %s, %s, %s, localtimestamp)",
        [customer, session.pick("staff", "active"), rental, amount],
    )
