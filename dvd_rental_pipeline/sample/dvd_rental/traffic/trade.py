"""Rentals, returns and payments."""

import psycopg

from dvd_rental_pipeline.sample.dvd_rental.traffic.shop import NothingToDoError, Shop

_COPIES_LOOKED_AT = 25

# The rate, and a dollar for each day begun after the term, for twenty days at most.
_OWED = """
    select rental_rate + least(20, greatest(0, ceil(extract(epoch from
        coalesce(return_date, localtimestamp) - rental_date) / 86400 - rental_duration)))
    from rental join inventory using (inventory_id) join film using (film_id)
    where rental_id = %s
"""


def rent(shop: Shop) -> None:
    """A customer rents a copy that is there; some pay at once."""
    rental = _hand_out(shop)
    if shop.rng.random() < 0.3:
        _pay(shop, rental)


def give_back(shop: Shop) -> None:
    """A copy comes back; most customers pay then, late fees included."""
    rental = shop.take_open_rental()
    if not shop.run(
        "update rental set return_date = localtimestamp"
        " where rental_id = %s and return_date is null and rental_date < localtimestamp",
        [rental],
    ):
        raise NothingToDoError
    if shop.rng.random() < 0.7:
        _pay(shop, rental)


def pay_late(shop: Shop) -> None:
    """Somebody pays a rental that was unpaid so far."""
    _pay(shop, _unpaid_rental(shop))


def waive(shop: Shop) -> None:
    """A rental is on the house: a payment of nothing."""
    rental = _unpaid_rental(shop)
    _record(shop, rental, _customer_of(shop, rental), 0)


def pay_for_another(shop: Shop) -> None:
    """A customer pays what somebody else rented."""
    rental = shop.pick("rental")
    other = shop.pick("customer")
    if other == _customer_of(shop, rental):
        raise NothingToDoError
    _record(shop, rental, other, shop.rng.choice(["0.99", "2.99", "4.99"]))


def correct_payment(shop: Shop) -> None:
    """The amount of a payment was wrong."""
    payment = shop.pick("payment")
    shop.run(
        "update payment set amount = case when amount > 1 then amount - 1 else amount + 1 end"
        " where payment_id = %s",
        [payment],
    )


def correct_rental(shop: Shop) -> None:
    """A rental was booked under the wrong staff member."""
    shop.run("update rental set staff_id = %s where rental_id = %s", [shop.pick("staff"), shop.pick("rental")])


def cancel_rental(shop: Shop) -> None:
    """A rental is struck off the books. Its payments go first: the schema allows no other order."""
    rental = shop.pick("rental", "return_date is not null")
    shop.remove(("payment", "rental_id", rental), ("rental", "rental_id", rental))


def refund(shop: Shop) -> None:
    """A payment is struck off the books."""
    shop.remove(("payment", "payment_id", shop.pick("payment")))


def change_of_mind(shop: Shop) -> None:
    """A customer takes a copy, and puts a second one back at the counter: a savepoint is rolled back."""
    _hand_out(shop)
    with shop.undone():
        _hand_out(shop, remember=False)


def abandon(shop: Shop) -> None:
    """A customer leaves before the rental is done: the whole transaction is rolled back."""
    _pay(shop, _hand_out(shop, remember=False))
    raise psycopg.Rollback


def _hand_out(shop: Shop, *, remember: bool = True) -> int:
    customer = shop.pick("customer", "coalesce(active, 1) = 1")
    for _ in range(_COPIES_LOOKED_AT):
        # Locked, so that nobody else hands out the same copy.
        copy = shop.find(
            "select inventory_id from inventory where inventory_id = %s for no key update",
            [shop.pick("inventory")],
        )
        if not shop.run(
            "select from rental where inventory_id = %s and coalesce(return_date, 'infinity') > localtimestamp",
            [copy],
        ):
            break
    else:
        raise NothingToDoError
    rental: int = shop.find(
        "insert into rental (rental_date, inventory_id, customer_id, staff_id)"
        " values (localtimestamp, %s, %s, %s) returning rental_id",
        [copy, customer, shop.pick("staff", "active")],
    )
    if remember:
        shop.rented(rental)
    return rental


def _unpaid_rental(shop: Shop) -> int:
    return shop.pick("rental", "not exists (select from payment where payment.rental_id = rental.rental_id)")


def _customer_of(shop: Shop, rental: int) -> int:
    customer: int = shop.find("select customer_id from rental where rental_id = %s", [rental])
    return customer


def _pay(shop: Shop, rental: int) -> None:
    _record(shop, rental, _customer_of(shop, rental), shop.find(_OWED, [rental]))


def _record(shop: Shop, rental: int, customer: int, amount: object) -> None:
    shop.run(
        "insert into payment (customer_id, staff_id, rental_id, amount, payment_date)"
        " values (%s, %s, %s, %s, localtimestamp)",
        [customer, shop.pick("staff", "active"), rental, amount],
    )
