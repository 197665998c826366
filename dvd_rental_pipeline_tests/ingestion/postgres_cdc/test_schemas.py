"""Tables are found by schema and name: a table of the same name in another schema is never mistaken for one."""

import pytest

from dvd_rental_pipeline.core.catalog import Column, Domain, Table
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.slot import allowed_bytes, read_slot
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.source_facts import read_facts
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.capture_drift import Deviation, publication_drift
from dvd_rental_pipeline.ingestion.postgres_cdc.verify.row_counts import compare_counts
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

# A schema name that needs quoting.
SCHEMA = "Other schema"
DOMAIN = Domain(
    name="other",
    source_schema=SCHEMA,
    description="A domain whose table has the same name as one in the schema public",
    owner="team:platform",
    tables=(
        Table(
            name="t",
            grain="one row per id",
            primary_key=("id",),
            columns=(Column("id", "integer", "Key"), Column("extra", "integer", "Value", nullable=True)),
        ),
    ),
)


@pytest.fixture
def synced(pair: Pair) -> Pair:
    pair.run(
        f'create schema "{SCHEMA}"',
        f'create table "{SCHEMA}".t (id int primary key, extra int)',
        f'insert into "{SCHEMA}".t values (1, 10)',
        "create table t (name text primary key)",
        "insert into t values ('one'), ('two')",
    )
    assert sync(pair) == ("snapshot", 1)
    return pair


def sync(pair: Pair) -> tuple[str, int]:
    """Sync the domain, and return the mode and the number of rows of its table."""
    replicator = pair.replicator(source_schema=SCHEMA, target_schema="other", tables=DOMAIN.primary_keys())
    table = replicator.sync().tables["t"]
    assert table.error is None
    return table.mode, table.rows


def test_only_the_table_of_the_declared_schema_is_replicated(synced: Pair) -> None:
    synced.run(f'insert into "{SCHEMA}".t values (2, 20)', "insert into t values ('three')")
    assert sync(synced) == ("changes", 2)
    assert synced.raw("select id, extra from other.t order by id") == [(1, 10), (2, 20)]


def test_facts_and_drift_concern_the_table_of_the_declared_schema(synced: Pair) -> None:
    facts = read_facts(synced.url, DOMAIN, synced.slot)
    assert facts.columns == {"t": {"id": "integer", "extra": "integer"}}
    assert publication_drift(synced.url, DOMAIN, synced.slot) == []
    synced.run(f"alter publication {synced.slot} add table public.t")
    assert publication_drift(synced.url, DOMAIN, synced.slot) == [
        Deviation(None, f"unexpected table public.t in the publication {synced.slot}", False)
    ]
    synced.run(f'alter publication {synced.slot} drop table "{SCHEMA}".t')
    assert Deviation("t", f"it is not in the publication {synced.slot}", True) in publication_drift(
        synced.url, DOMAIN, synced.slot
    )


def test_pending_changes_are_counted_for_the_table_of_the_declared_schema(synced: Pair) -> None:
    synced.run(
        f"alter publication {synced.slot} add table public.t",
        "insert into t values ('three')",
        f'insert into "{SCHEMA}".t values (2, 20)',
    )
    compared = compare_counts(synced.url, DOMAIN, synced.slot, {"t": 1}, {})["t"]
    assert (compared.agrees, compared.source_rows, compared.pending) == (True, 2, 1)


def test_the_state_of_a_slot(synced: Pair) -> None:
    assert read_slot(synced.source, f"{synced.slot}_missing") is None
    slot = read_slot(synced.source, synced.slot)
    assert slot is not None
    assert (slot.kind, slot.plugin, slot.lost, slot.active) == ("logical", "pgoutput", None, False)
    assert slot.streams_this_database
    assert slot.confirmed is not None


def test_a_slot_may_retain_half_of_the_servers_limit() -> None:
    assert allowed_bytes(4_000) == 2_000
    assert allowed_bytes(None) == 1 << 30
