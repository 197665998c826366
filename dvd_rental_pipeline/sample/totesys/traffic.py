"""Simulate business activity on the totesys database: one transaction per event.

The application sets `last_updated` itself, to the time of its own clock in UTC, before it commits.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, LiteralString

import psycopg

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.totesys.tables import TOTESYS_TABLES

_NOW = "date_trunc('milliseconds', clock_timestamp() at time zone 'UTC')::timestamp(3)"
_MALFORMED = ("", "2025-02-30", "14.03.2025", "tomorrow")
_ORDERS_WITH_MALFORMED_DATE = 0.02


def simulate(
    url: str,
    *,
    events: int = 100,
    rate: float | None = None,
    seed: int | None = None,
    on_progress: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> dict[str, int]:
    """Execute `events` events, `rate` per second (default: without pauses); return their number by kind.

    New orders come with their transaction and an unpaid payment, payments are paid later, staff and addresses
    change, orders are amended, corrected or cancelled. Some text dates are malformed. The same seed makes the
    same choices on the same data. Ends early if `stop` is set.

    Raises:
        SourceError: the database is empty, an argument is out of range, or a statement failed.
    """
    if events < 0 or (rate is not None and rate <= 0):
        raise SourceError("The number of events must not be negative, and the rate per second must be above 0.")
    if TOTESYS_TABLES.are_missing(url) or not any(TOTESYS_TABLES.row_counts(url).values()):
        raise SourceError("The source is empty. Fill it with `dvd-rental source generate --database totesys`.")
    report, stop, counts = on_progress or (lambda _: None), stop or threading.Event(), Counter[str]()
    started = time.monotonic()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            traffic = _Traffic(connection, random.Random(seed))
            for number in range(events):
                wait = 0.0 if rate is None else started + number / rate - time.monotonic()
                if stop.wait(wait) if wait > 0 else stop.is_set():
                    break
                with connection.transaction():
                    counts[traffic.execute_event()] += 1
                if (number + 1) % 50 == 0:
                    report(f"Simulating: {number + 1:,} of {events:,} events")
    except psycopg.Error as error:
        raise SourceError(f"The simulation failed in the source database: {error}") from error
    return dict(sorted(counts.items()))


class _Traffic:
    def __init__(self, connection: psycopg.Connection, rng: random.Random) -> None:
        self._connection = connection
        self._rng = rng
        self._weights: dict[Callable[[], bool], int] = {
            self.new_sale: 30,
            self.new_purchase: 12,
            self.pay: 35,
            self.amend_sale: 5,
            self.correct_date: 4,
            self.cancel_sale: 2,
            self.change_staff: 4,
            self.change_address: 4,
            self.rename_department: 2,
            self.new_design: 2,
        }

    def execute_event(self) -> str:
        """Execute one event that applies to the data, and return its kind."""
        while True:
            event = self._rng.choices(list(self._weights), weights=list(self._weights.values()))[0]
            if event():
                return event.__name__

    def new_sale(self) -> bool:
        design, staff, customer, address = map(self._pick, ("design", "staff", "counterparty", "address"))
        units, price = self._rng.randint(1001, 99973), self._rng.randint(200, 400) / 100
        order = self._value(
            "insert into sales_order (last_updated, design_id, staff_id, counterparty_id, units_sold,"
            " unit_price, currency_id, agreed_delivery_date, agreed_payment_date, agreed_delivery_location_id)"
            f" values ({_NOW}, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning sales_order_id",
            [
                design,
                staff,
                customer,
                units,
                price,
                self._pick("currency"),
                self._date(),
                self._date(),
                address,
            ],
        )
        self._bill("SALE", "sales_order", order, 1)
        return True

    def new_purchase(self) -> bool:
        staff, supplier, address = map(self._pick, ("staff", "counterparty", "address"))
        quantity, price = self._rng.randint(1, 999), self._rng.randint(332, 99907) / 100
        order = self._value(
            "insert into purchase_order (last_updated, staff_id, counterparty_id, item_code, item_quantity,"
            " item_unit_price, currency_id, agreed_delivery_date, agreed_payment_date,"
            f" agreed_delivery_location_id) values ({_NOW}, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " returning purchase_order_id",
            [staff, supplier, f"I{self._rng.randrange(10**6):06}", quantity, price, self._pick("currency"),
             self._date(), self._date(), address],
        )  # fmt: skip
        self._bill("PURCHASE", "purchase_order", order, 3)
        return True

    def pay(self) -> bool:
        return self._run(
            f"update payment set paid = true, last_updated = {_NOW} where payment_id = (select payment_id from"
            " payment where not paid order by payment_id offset %s limit 1)",
            [self._rng.randrange(5)],
        )

    def amend_sale(self) -> bool:
        order = self._value("select max(sales_order_id) from sales_order")
        self._run(
            "update sales_order set units_sold = units_sold + 1,"
            f" last_updated = {_NOW} where sales_order_id = %s",
            [order],
        )
        return self._run(
            f"update payment set last_updated = {_NOW}, payment_amount = (select units_sold * unit_price"
            " from sales_order where sales_order_id = %s) where transaction_id ="
            " (select transaction_id from transaction where sales_order_id = %s)",
            [order, order],
        )

    def correct_date(self) -> bool:
        return self._run(
            f"update sales_order set last_updated = {_NOW}, agreed_delivery_date ="
            " to_char(created_at + interval '3 days', 'YYYY-MM-DD')"
            r" where sales_order_id = (select sales_order_id from sales_order"
            r" where agreed_delivery_date !~ '^\d{4}-\d\d-\d\d$' order by 1 limit 1)"
        )

    def cancel_sale(self) -> bool:
        order = self._value("select min(sales_order_id) from sales_order")
        transaction = self._value("select transaction_id from transaction where sales_order_id = %s", [order])
        self._run("delete from payment where transaction_id = %s", [transaction])
        self._run("delete from transaction where transaction_id = %s", [transaction])
        return self._run("delete from sales_order where sales_order_id = %s", [order])

    def change_staff(self) -> bool:
        return self._run(
            f"update staff set last_updated = {_NOW}, department_id = %s where staff_id = %s",
            [self._pick("department"), self._pick("staff")],
        )

    def change_address(self) -> bool:
        return self._run(
            f"update address set last_updated = {_NOW}, phone = %s where address_id = %s",
            [f"+44 {self._rng.randrange(10**9):09}", self._pick("address")],
        )

    def rename_department(self) -> bool:
        return self._run(
            f"update department set last_updated = {_NOW}, manager = %s where department_id = %s",
            [f"Manager {self._rng.randrange(100)}", self._pick("department")],
        )

    def new_design(self) -> bool:
        number = self._rng.randrange(10**6)
        return self._run(
            "insert into design (last_updated, design_name, file_location, file_name)"
            f" values ({_NOW}, 'Velvet', '/home', %s)",
            [f"velvet-{number}.json"],
        )

    def _bill(self, kind: str, order_table: str, order: int, payment_type: int) -> None:
        is_sale = kind == "SALE"
        transaction = self._value(
            "insert into transaction (transaction_type, sales_order_id, purchase_order_id, last_updated)"
            f" values (%s, %s, %s, {_NOW}) returning transaction_id",
            [kind, order if is_sale else None, None if is_sale else order],
        )
        amount = "units_sold * unit_price" if is_sale else "item_quantity * item_unit_price"
        # The names are this module's own.
        self._run(
            "insert into payment (last_updated, transaction_id, counterparty_id, payment_amount, currency_id,"
            " payment_type_id, paid, payment_date, company_ac_number, counterparty_ac_number)"
            f" select last_updated, %s, counterparty_id, {amount}, currency_id, %s, false, agreed_payment_date,"
            f" 12345678, 87654321 from {order_table} where {order_table}_id = %s",
            [transaction, payment_type, order],
        )

    def _date(self) -> str:
        if self._rng.random() < _ORDERS_WITH_MALFORMED_DATE:
            return self._rng.choice(_MALFORMED)
        return str(
            self._value("select to_char(current_date + %s::integer, 'YYYY-MM-DD')", [self._rng.randint(1, 6)])
        )

    def _pick(self, table: LiteralString) -> int:
        keys = self._connection.execute(f"select {table}_id from {table} order by 1").fetchall()
        return int(self._rng.choice(keys)[0])

    def _value(self, query: LiteralString, values: list[Any] | None = None) -> Any:
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]

    def _run(self, statement: LiteralString, values: list[Any] | None = None) -> bool:
        return self._connection.execute(statement, values).rowcount > 0
