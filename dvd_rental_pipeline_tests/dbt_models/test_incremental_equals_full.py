"""After any sequence of syncs, the facts equal those that a full refresh builds."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dvd_rental_pipeline_tests.dbt_models.raw_tables import Dbt, RawTables, fill, put_customer
from dvd_rental_pipeline_tests.parsed_project import ParsedProject

MARTS = "select table_name from information_schema.tables where table_schema = 'marts' order by 1"


class Business:
    """Random changes of a source, including effects of replication: late, out-of-order and lost rows."""

    def __init__(self, raw: RawTables, seed: int) -> None:
        self.raw = raw
        self.random = random.Random(seed)
        self.next_key = 100
        self.deleted: list[tuple[str, dict[str, Any]]] = []
        self.applied: set[str] = set()
        self.changes = (
            *(self.rent, self.rent, self.rent, self.return_copy, self.undo_return, self.correct_copy),
            *(self.correct_renter, self.delete_rental, self.reinsert_row),
            *(self.pay, self.pay, self.pay, self.correct_payment, self.move_payment, self.delete_payment),
            *(
                self.move_copy,
                self.change_film_of_copy,
                self.change_film,
                self.change_film,
                self.change_customer,
            ),
            *(self.change_address, self.move_staff, self.move_store),
            *(self.rent_before_customer_arrives, self.late_customer_arrives, self.remove_customer),
        )

    def trade(self, changes: int) -> None:
        for _ in range(changes):
            self.raw.pass_time(hours=self.random.uniform(0.1, 9))
            change = self.random.choice(self.changes)
            change()
            self.applied.add(change.__name__)

    def any(self, table: str) -> int:
        return self.random.choice(self.raw.keys(table))

    def new_key(self) -> int:
        self.next_key += 1
        return self.next_key

    def rent(self, customer_id: int | None = None) -> None:
        # Rented before the commit time of the change: the version valid at that time applies.
        rented_at = self.raw.now - timedelta(hours=self.random.choice([0, 1, 50, 400]))
        key = self.new_key()
        row = {
            "rental_id": key,
            "rental_date": rented_at,
            "inventory_id": self.any("inventory"),
            "customer_id": customer_id or self.any("customer"),
            "staff_id": self.any("staff"),
        }
        # Log positions may arrive out of order.
        self.raw.put("rental", row, lsn=self.random.choice([None, 1_000_000 + key]))

    def return_copy(self) -> None:
        if rentals := self.raw.keys("rental"):
            self.raw.change("rental", self.random.choice(rentals), return_date=self.raw.now)

    def undo_return(self) -> None:
        if rentals := self.raw.keys("rental"):
            self.raw.change("rental", self.random.choice(rentals), return_date=None)

    def pay(self) -> None:
        if rentals := self.raw.keys("rental"):
            self.raw.put(
                "payment",
                {
                    "payment_id": self.new_key(),
                    "rental_id": self.random.choice(rentals),
                    "customer_id": self.any("customer"),
                    "staff_id": self.any("staff"),
                    "amount": self.random.choice([0, 0.99, 2.99, 4.5]),
                    "payment_date": self.raw.now - timedelta(hours=self.random.choice([0, 90])),
                },
            )

    def correct_payment(self) -> None:
        if payments := self.raw.keys("payment"):
            self.raw.change("payment", self.random.choice(payments), amount=self.random.randint(1, 900) / 100)

    def move_payment(self) -> None:
        if payments := self.raw.keys("payment"):
            self.raw.change("payment", self.random.choice(payments), rental_id=self.any("rental"))

    def delete_payment(self) -> None:
        if payments := self.raw.keys("payment"):
            self._delete("payment", self.random.choice(payments))

    def delete_rental(self) -> None:
        if rentals := self.raw.keys("rental"):
            rental_id = self.random.choice(rentals)
            for payment_id in self.raw.keys("payment"):
                if self.raw.row("payment", payment_id)["rental_id"] == rental_id:
                    self._delete("payment", payment_id)
            self._delete("rental", rental_id)

    def reinsert_row(self) -> None:
        if self.deleted:
            table, row = self.deleted.pop()
            if table != "payment" or row["rental_id"] in self.raw.keys("rental"):
                self.raw.put(table, row)

    def correct_copy(self) -> None:
        if rentals := self.raw.keys("rental"):
            self.raw.change("rental", self.random.choice(rentals), inventory_id=self.any("inventory"))

    def correct_renter(self) -> None:
        if rentals := self.raw.keys("rental"):
            self.raw.change("rental", self.random.choice(rentals), customer_id=self.any("customer"))

    def move_copy(self) -> None:
        self.raw.change("inventory", self.any("inventory"), store_id=self.random.choice([1, 2]))

    def change_film_of_copy(self) -> None:
        self.raw.change("inventory", self.any("inventory"), film_id=self.any("film"))

    def change_film(self) -> None:
        self.raw.change(
            "film",
            self.any("film"),
            rental_duration=self.random.randint(1, 7),
            rental_rate=self.random.choice([0.99, 2.99, 4.99]),
        )

    def change_customer(self) -> None:
        self.raw.change(
            "customer",
            self.any("customer"),
            active=self.random.randint(0, 1),
            store_id=self.random.choice([1, 2]),
        )

    def change_address(self) -> None:
        self.raw.change("address", self.any("address"), city_id=self.random.choice([1, 2]))

    def move_staff(self) -> None:
        self.raw.change("staff", self.any("staff"), store_id=self.random.choice([1, 2]))

    def move_store(self) -> None:
        self.raw.change("store", self.any("store"), address_id=self.any("address"))

    def rent_before_customer_arrives(self) -> None:
        """The tables of a sync may be read at different times: a rental can arrive before its customer."""
        self.rent(customer_id=self.random.choice([901, 902]))

    def late_customer_arrives(self) -> None:
        put_customer(self.raw, self.random.choice([901, 902]))

    def remove_customer(self) -> None:
        customer_id = self.any("customer")
        if self.random.random() < 0.5:
            self._delete("customer", customer_id)
        else:
            self.deleted.append(("customer", self.raw.row("customer", customer_id)))
            self.raw.vanish("customer", customer_id)

    def _delete(self, table: str, key: int) -> None:
        self.deleted.append((table, self.raw.row(table, key)))
        self.raw.delete(table, key)


def check_incremental_equals_full_refresh(
    home: Path, project: ParsedProject, seed: int, syncs: int, changes: int, *, keep_past: bool
) -> None:
    raw = RawTables(home, keep_past=keep_past)
    dbt = Dbt(raw, project)
    fill(raw)
    business = Business(raw, seed)
    for _ in range(syncs):
        business.trade(changes)
        dbt.build_marts()
    marts = raw.query(MARTS)
    raw.query("create schema incremental")
    for (mart,) in marts:
        raw.query(f"create table incremental.{mart} as from marts.{mart}")
    dbt.build_marts("--full-refresh")
    assert raw.query(MARTS) == marts
    for (mart,) in marts:
        for one, other in (("incremental", "marts"), ("marts", "incremental")):
            difference = raw.query(f"from {one}.{mart} except all from {other}.{mart}")
            assert difference == [], f"{mart}: rows only in {one}, seed {seed}: {difference[:3]}"
    not_deleted = "_ab_cdc_deleted_at is null"
    assert raw.query("select count(*) from marts.fct_rental") == [(len(raw.keys("rental")),)]
    assert raw.query("select sum(amount) from marts.fct_payment") == raw.query(
        f"select sum(amount) from dvd_rental.payment where {not_deleted}"
    )
    # Otherwise the sequence could not have shown a difference.
    assert business.applied == {change.__name__ for change in business.changes}
    assert raw.query("select count(distinct film_key) > count(distinct film_id) from marts.fct_rental") == [
        (True,)
    ]


@pytest.mark.parametrize(
    "keep_past",
    [
        pytest.param(False, marks=pytest.mark.heavy, id="current states only"),
        pytest.param(True, marks=pytest.mark.slow, id="with past states"),
    ],
)
def test_facts_after_three_syncs_equal_a_full_refresh(
    tmp_path: Path, parsed_project: ParsedProject, keep_past: bool
) -> None:
    check_incremental_equals_full_refresh(
        tmp_path, parsed_project, seed=1, syncs=3, changes=90, keep_past=keep_past
    )


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(2, 8))
def test_facts_after_many_small_syncs_equal_a_full_refresh(
    tmp_path: Path, parsed_project: ParsedProject, seed: int
) -> None:
    check_incremental_equals_full_refresh(
        tmp_path, parsed_project, seed=seed, syncs=10, changes=25, keep_past=seed % 2 == 0
    )
