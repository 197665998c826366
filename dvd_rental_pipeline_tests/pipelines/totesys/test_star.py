"""From the source to the star: the 11 tables, their rules, their history, and what is quarantined."""

from pathlib import Path

import duckdb

from dvd_rental_pipeline.pipelines.totesys.star import STAR
from dvd_rental_pipeline.sample.totesys.traffic import simulate
from dvd_rental_pipeline_tests.pipelines.totesys.conftest import Steps, steps_in


def test_warehouse_has_the_eleven_tables_with_their_exact_columns(loaded_steps: Steps) -> None:
    steps = loaded_steps

    columns = steps.query(
        "select table_name, column_name, data_type from information_schema.columns"
        " where table_schema = 'totesys' order by table_name, ordinal_position"
    )
    assert len({row[0] for row in columns}) == 11
    assert [row[1] for row in columns if row[0] == "fact_sales_order"] == [
        "sales_record_id", "sales_order_id", "created_date", "created_time", "last_updated_date",
        "last_updated_time", "sales_staff_id", "counterparty_id", "units_sold", "unit_price", "currency_id",
        "design_id", "agreed_payment_date", "agreed_delivery_date", "agreed_delivery_location_id",
    ]  # fmt: skip
    types = {(row[0], row[1]): row[2] for row in columns}
    assert types["fact_sales_order", "unit_price"] == "DECIMAL(10,2)"
    assert types["fact_payment", "last_updated_time"] == "TIME"
    assert types["dim_counterparty", "counterparty_legal_phone_number"] == "VARCHAR"
    assert "company_ac_number" not in {row[1] for row in columns}


def test_rows_follow_the_rules_of_the_warehouse(loaded_steps: Steps) -> None:
    steps = loaded_steps

    def same(warehouse: str, source: str) -> None:
        assert [tuple(map(str, row)) for row in steps.query(warehouse)] == [
            tuple(map(str, row)) for row in steps.source(source)
        ]

    same(
        "select sales_order_id, created_date + created_time, sales_staff_id, unit_price, agreed_payment_date"
        " from totesys.fact_sales_order order by 1",
        "select sales_order_id, created_at, staff_id, unit_price, agreed_payment_date from sales_order"
        " where agreed_delivery_date <> '31/02/2024' order by 1",
    )
    same(
        "select staff_id, department_name, location, email_address from totesys.dim_staff order by 1",
        "select staff_id, department_name, location, email_address from staff join department"
        " using (department_id) order by 1",
    )
    same(
        "select counterparty_id, counterparty_legal_address_line_2, counterparty_legal_phone_number"
        " from totesys.dim_counterparty order by 1",
        "select counterparty_id, address_line_2, phone from counterparty join address"
        " on legal_address_id = address_id order by 1",
    )
    assert steps.query("select * from totesys.dim_currency order by 1") == [
        (1, "GBP", "British pound"), (2, "USD", "US dollar"), (3, "EUR", "Euro"),
    ]  # fmt: skip
    assert steps.query(
        "select count(*), min(date_id)::varchar, max(date_id)::varchar from totesys.dim_date"
    ) == [(4018, "2020-01-01", "2030-12-31")]
    assert steps.query("select day_of_week, day_name, month_name, quarter from totesys.dim_date"
                       " where date_id = '2026-06-01'") == [(1, "Monday", "June", 2)]  # fmt: skip


def test_updated_rows_become_second_versions_and_loading_again_adds_nothing(loaded_steps: Steps) -> None:
    steps = loaded_steps
    (payment,) = steps.source("select payment_id from payment where not paid limit 1")[0]
    steps.source(
        "update payment set paid = true, last_updated = timezone('UTC', now()) where payment_id = %s",
        [payment],
    )
    steps.source("update department set location = 'York', last_updated = timezone('UTC', now())")
    steps.run()
    before = steps.query("select count(*), max(payment_record_id) from totesys.fact_payment")
    steps.run()
    again = steps.load()

    versions = f"select paid from totesys.fact_payment where payment_id = {payment} order by payment_record_id"
    assert steps.query(versions) == [(False,), (True,)]
    assert steps.query("select distinct location from totesys.dim_staff") == [("York",)]
    assert steps.query("select count(*), max(payment_record_id) from totesys.fact_payment") == before
    assert {table.runs for table in again.values()} == {0}


def test_bad_rows_are_quarantined_with_their_reason_until_they_are_corrected(steps: Steps) -> None:
    steps.source("insert into currency values (4, 'XXX', now(), now())")
    steps.source(
        "update sales_order set agreed_payment_date = '2026-02-30', currency_id = 4, last_updated = now()"
        " where sales_order_id = 7"
    )
    steps.run()
    (run,) = steps.processed.runs()
    file = run.file("quarantine/sales_order")
    assert file is not None
    reasons = duckdb.sql(
        f"select sales_order_id, reason from '{steps.processed.store.address(file.key)}'"
    ).fetchall()

    assert run.quarantined["currency"] == 1
    assert (7, "agreed_payment_date is not a date: 2026-02-30; unknown currency: currency_id 4") in reasons
    assert steps.query("select count(*) from totesys.fact_sales_order where sales_order_id = 7") == [(0,)]
    # A version waits for its currency; the one with the malformed date waits for a corrected version.
    steps.source(
        "update currency set currency_code = 'EUR', last_updated = timezone('UTC', now()) where currency_id = 4"
    )
    steps.run()
    assert steps.query("select count(*) from totesys.fact_sales_order where sales_order_id = 7") == [(0,)]
    assert "currency" not in steps.processed.runs()[-1].quarantined
    steps.source(
        "update sales_order set agreed_payment_date = '2026-02-28', last_updated = timezone('UTC', now())"
        " where sales_order_id = 7"
    )
    steps.run()
    assert steps.query("select currency_id from totesys.fact_sales_order where sales_order_id = 7") == [(4,)]


def test_orphan_leaves_the_quarantine_when_its_parent_arrives(steps: Steps) -> None:
    steps.source("alter table sales_order drop constraint sales_order_design_id_fkey")
    steps.source("update sales_order set design_id = 900 where sales_order_id = 9")
    steps.run()
    absent = steps.query("select count(*) from totesys.fact_sales_order where sales_order_id = 9")
    steps.source("insert into design values (900, now(), timezone('UTC', now()), 'Late', '/usr', 'late.json')")
    steps.run()

    assert absent == [(0,)]
    assert steps.query("select design_id from totesys.fact_sales_order where sales_order_id = 9") == [(900,)]


def test_transforming_again_gives_the_same_bytes(loaded_steps: Steps, tmp_path: Path) -> None:
    steps = loaded_steps
    simulate(steps.url, events=40, seed=3)
    steps.run()
    first = steps.processed.runs()

    assert [run.sequence for run in steps.transform(days=[first[0].day])] == [1, 2]
    assert steps.processed.runs() == first
    other = steps_in(tmp_path / "other", steps.url, landing=steps.landing.store)
    other.transform()
    assert other.processed.runs() == first
    assert {loaded.runs for loaded in steps.load().values()} == {0}


def test_warehouse_is_rebuilt_from_landing_alone(loaded_steps: Steps, tmp_path: Path) -> None:
    steps = loaded_steps
    simulate(steps.url, events=60, seed=4)
    steps.run(complete=True)
    rebuilt = steps_in(tmp_path / "rebuilt", "postgresql://nowhere.invalid/", landing=steps.landing.store)
    rebuilt.transform()
    rebuilt.load()
    steps.load(everything=True)

    stars = steps.star(), rebuilt.star()
    for table in STAR:
        assert stars[0][table.name] == stars[1][table.name], table.name
    deleted = "select * from totesys_lake.deleted_row order by all"
    assert steps.query(deleted) == rebuilt.query(deleted)
    assert len(steps.query(deleted)) > 0
