"""The totesys sample: deterministic, consistent, with malformed dates; the traffic keeps it consistent."""

from datetime import datetime

import psycopg

from dvd_rental_pipeline.sample.totesys.generate import generate
from dvd_rental_pipeline.sample.totesys.tables import TOTESYS_TABLES
from dvd_rental_pipeline.sample.totesys.traffic import simulate
from dvd_rental_pipeline_tests.sample.queries import value

UNTIL = datetime(2026, 7, 1)
FINGERPRINT = "select md5(string_agg({0}::text, ';' order by {0}::text)) from {0}"
AMOUNTS_THAT_DIFFER = """
    select count(*) from payment join transaction using (transaction_id)
    left join sales_order using (sales_order_id) left join purchase_order using (purchase_order_id)
    where payment_amount is distinct from coalesce(units_sold * unit_price, item_quantity * item_unit_price)
"""
ORDERS_WITHOUT_TRANSACTION = """
    select (select count(*) from sales_order) + (select count(*) from purchase_order)
         - (select count(*) from transaction)
"""


def test_same_seed_gives_identical_rows_and_another_seed_others(database_url: str) -> None:
    def fingerprints(seed: int) -> dict[str, str]:
        generate(database_url, scale=0.02, until=UNTIL, seed=seed)
        return {table: value(database_url, FINGERPRINT.format(table)) for table in TOTESYS_TABLES.primary_keys}

    first, again, other = fingerprints(42), fingerprints(42), fingerprints(7)

    assert first == again
    assert {table for table in first if first[table] != other[table]} >= {"sales_order", "payment", "staff"}


def test_scale_1_has_the_size_and_the_rules_of_the_original(database_url: str) -> None:
    counts = generate(database_url, until=UNTIL)

    assert counts["sales_order"] == 11_175
    assert counts["transaction"] == counts["payment"] == 15_815
    assert (counts["address"], counts["counterparty"], counts["design"]) == (30, 20, 472)
    assert value(database_url, AMOUNTS_THAT_DIFFER) == 0
    assert value(database_url, "select count(*) from sales_order where agreed_delivery_date = '31/02/2024'") > 3
    assert value(database_url, "select count(*) from payment where not paid") > 50
    assert value(database_url, "select count(*) from _prisma_migrations") == 1


def test_traffic_keeps_the_rules_and_updates_last_updated(database_url: str) -> None:
    generate(database_url, scale=0.02, until=UNTIL)

    counts = simulate(database_url, events=300, seed=1)

    assert sum(counts.values()) == 300
    assert {"new_sale", "new_purchase", "pay", "cancel_sale", "correct_date", "change_staff"} <= set(counts)
    assert value(database_url, AMOUNTS_THAT_DIFFER) == 0
    assert value(database_url, ORDERS_WITHOUT_TRANSACTION) == 0
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select count(*) from payment where paid and last_updated > %s", [UNTIL]
        ).fetchone()
    assert row is not None
    assert row[0] >= counts["pay"] // 2
