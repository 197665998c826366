"""Full copies of large tables: read in parallel parts, in bounded memory, with progress."""

import re

import pytest

from dvd_rental_pipeline.ingestion.postgres_cdc import replicator
from dvd_rental_pipeline.ingestion.postgres_cdc.copy import snapshot
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Interrupted, Pair

ROWS = "select n, repeat(md5(n::text), 4), n / 7.0 from generate_series(1, 30000) n"


def test_a_large_table_is_read_in_parts_of_one_snapshot(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "SPLIT_PAGES", 100)
    pair.run(
        "create table t (id int primary key, name text, amount numeric(9, 3))",
        f"insert into t {ROWS}",
        # Updated rows at the end of the table, and free space at its start.
        "update t set name = 'moved' where id % 3 = 0",
        "delete from t where id < 500",
        "create table small (id int primary key)",
        "insert into small select generate_series(1, 10)",
    )
    copied = pair.sync().tables
    assert (copied["t"].mode, copied["t"].rows, copied["small"].rows) == ("snapshot", 29_501, 10)
    assert pair.sync(full_refresh=True).tables["t"].rows == 29_501
    assert all(found.agrees for found in pair.verify().values())


def test_a_long_copy_reports_progress(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(snapshot, "_BATCH_BYTES", 200_000)
    pair.run(
        "create table t (id int primary key, name text, amount numeric)", f"insert into t {ROWS}", "analyze t"
    )
    pair.sync()
    reports = [message for message in pair.messages if "rows copied" in message]
    pattern = r"t: ([\d,]+)(?: of about 30,000)? rows copied \([\d,]+ MB(?:, (\d+) s left)?\)"
    found = [re.fullmatch(pattern, report) for report in reports]
    assert len(found) > 5
    assert all(found)
    rows = [int(match[1].replace(",", "")) for match in found if match]
    assert rows == sorted(rows)
    assert rows[-1] == 30_000
    assert all(match[2] is not None for match in found[:-1] if match)


@pytest.mark.parametrize("way", ["copy", "changes"])
def test_values_that_exceed_the_memory_limit_are_replicated(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(replicator, "_BUFFER_BYTES", 24_000_000)
    pair.run("create table t (id int primary key, big text)")
    if way == "changes":
        pair.sync()
    pair.run("insert into t select n, repeat('x', 15000000 + n) from generate_series(1, 3) n")
    assert pair.sync_one().rows == 3
    assert any("more memory" in message for message in pair.messages)


MANY_ROWS = 2_000_000


@pytest.mark.slow
@pytest.mark.parametrize("enough", [True, False])
def test_changes_all_over_a_large_table_are_replicated(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, *, enough: bool
) -> None:
    pair.run(
        "create table t (id int primary key, n int)",
        f"insert into t select n, n from generate_series(1, {MANY_ROWS}) n",
    )
    # Without the comparison of all rows in Python, which takes half a minute.
    pair.replicator().sync()
    monkeypatch.setattr(replicator, "_BUFFER_BYTES", 24_000_000 if enough else 12_000_000)
    if not enough:
        # The marks of the deleted rows alone take 16 MB.
        monkeypatch.setattr(replicator, "_DELETION_BYTES_PER_ROW", 0)
    pair.run("update t set n = n + 1 where id % 100 = 0")
    pair.messages.clear()
    assert pair.replicator().sync().tables["t"].updated == MANY_ROWS // 100
    assert any("more memory" in message for message in pair.messages) is not enough
    sums = "select count(*), sum(id), sum(n), sum(id::bigint * n) from"
    assert pair.raw(f"{sums} dvd_rental.t") == pair.source.execute(f"{sums} t").fetchall()


@pytest.mark.slow
def test_a_truncated_large_table_needs_no_more_memory(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.run(
        "create table t (id int primary key, n int)",
        f"insert into t select n, n from generate_series(1, {MANY_ROWS}) n",
    )
    pair.replicator().sync()
    monkeypatch.setattr(replicator, "_BUFFER_BYTES", 60_000_000)
    pair.run("truncate t")
    pair.messages.clear()
    assert pair.replicator().sync().tables["t"].tombstones == MANY_ROWS
    assert not any("more memory" in message for message in pair.messages)


def test_an_interrupt_of_a_copy_is_no_error_of_the_warehouse(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "PROGRESS_SECONDS", 0.0)
    pair.run("create table t (id int primary key, name text, amount numeric(9, 3))", f"insert into t {ROWS}")

    def interrupt(message: str) -> None:
        if "rows copied" in message:
            raise Interrupted

    with pytest.raises(Interrupted):
        pair.replicator(on_progress=interrupt).sync()
    assert pair.sync_one().rows == 30_000
