"""The raw tables follow from the files that are there, whatever the order in which they arrived."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvd_rental_pipeline.core.errors import PipelineError
from dvd_rental_pipeline.ingestion.files.drop_zone import DropFolder
from dvd_rental_pipeline.pipelines.sales.columns import FILE_COLUMNS
from dvd_rental_pipeline.pipelines.sales.loading import FileOutcome, FileStatus, complete_files, load_files
from dvd_rental_pipeline.pipelines.sales.versions import read_sales_versions
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline_tests.pipelines.sales.sales_files import csv_text, drop, order_line

CONTENT = ", ".join(("file_key", "file_name", "line", *(column.name for column in FILE_COLUMNS)))


class Landing:
    """A folder of dropped files, and a warehouse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "files"
        self.warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
        self.messages: list[str] = []

    def load(self) -> Sequence[FileOutcome]:
        self.messages = []
        return load_files(DropFolder(self.folder), self.warehouse, self.messages.append)

    def tables(self) -> list[list[Any]]:
        """Lines, quarantine and status of files; the warehouse is opened once."""
        with self.warehouse.transaction() as session:
            return [
                list(session.execute(query).values)
                for query in (
                    f"select {CONTENT} from sales.order_lines order by all",
                    "select file_name, line, column_name, reason from sales.quarantine order by all",
                    "select file_name, status from sales.files order by all",
                )
            ]

    def lines(self) -> list[Any]:
        return list(self.warehouse.query(f"select {CONTENT} from sales.order_lines order by all").values)

    def files(self) -> dict[str, str]:
        rows = self.warehouse.query("select file_name, status from sales.files").values
        return {str(name): str(status) for name, status in rows}


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path)


def two_lines(**values: str) -> str:
    return csv_text([order_line(**values), order_line(order_line="2")])


def test_a_file_that_arrives_twice_changes_nothing(landing: Landing) -> None:
    drop(landing.folder, "sales_2024-03.csv", two_lines())
    (outcome,) = landing.load()
    assert (outcome.records, outcome.added) == (2, 2)
    before, versions = landing.lines(), read_sales_versions(landing.warehouse)
    drop(landing.folder, "sales_2024-03.csv", two_lines())
    assert landing.load() == []
    assert landing.lines() == before
    assert read_sales_versions(landing.warehouse) == versions


def test_a_correction_replaces_its_own_rows_and_says_what_changed(landing: Landing) -> None:
    drop(landing.folder, "sales_2024-03.csv", two_lines())
    drop(landing.folder, "sales_2024-03_emea.csv", csv_text([order_line(order_number="9")]))
    landing.load()
    versions = read_sales_versions(landing.warehouse)
    corrected = [
        order_line(quantity="31"),
        order_line(order_line="3"),
        order_line(order_line="4", quantity="x"),
    ]
    drop(landing.folder, "sales_2024-03.r2.csv", csv_text(corrected))
    loaded = [outcome for outcome in landing.load() if outcome.status is FileStatus.LOADED]
    assert [(it.file.name, it.added, it.changed, it.removed, it.quarantined) for it in loaded] == [
        ("sales_2024-03.r2.csv", 1, 1, 1, 1)
    ]
    assert "order lines: 1 added, 1 changed, 1 removed" in landing.messages[0]
    assert [(row[0], row[4]) for row in landing.lines()] == [
        ("2024-03", 1),
        ("2024-03", 3),
        ("2024-03_emea", 1),
    ]
    assert landing.files() == {
        "sales_2024-03.csv": "replaced",
        "sales_2024-03.r2.csv": "loaded",
        "sales_2024-03_emea.csv": "loaded",
    }
    assert not read_sales_versions(landing.warehouse).items() & versions.items()
    assert landing.load() == [], "a second run changes nothing"


def test_a_file_that_is_overwritten_replaces_its_rows(landing: Landing) -> None:
    drop(landing.folder, "sales_2024-03.csv", two_lines())
    landing.load()
    drop(landing.folder, "sales_2024-03.csv", two_lines(quantity="7"))
    (outcome,) = landing.load()
    assert (outcome.added, outcome.changed, outcome.removed) == (0, 1, 0)


def test_a_file_with_a_broken_header_loads_nothing(landing: Landing) -> None:
    drop(landing.folder, "sales_2024-03.csv", two_lines())
    landing.load()
    before = landing.lines()
    drop(landing.folder, "sales_2024-03.r2.csv", "a,b\n1,2\n")
    (outcome,) = landing.load()
    assert outcome.status is FileStatus.REJECTED
    assert "the header lacks order_number" in str(outcome)
    assert landing.lines() == before
    assert landing.load() == []
    drop(landing.folder, "sales_2024-03.r2.csv", two_lines(quantity="8"))
    assert [it.status for it in landing.load()] == [FileStatus.LOADED, FileStatus.REPLACED]


def test_a_broken_file_gives_way_to_the_revision_below(landing: Landing) -> None:
    drop(landing.folder, "sales_2024-03.csv", two_lines())
    drop(landing.folder, "sales_2024-03.r2.csv", two_lines(quantity="8"))
    landing.load()
    drop(landing.folder, "sales_2024-03.r2.csv", "")
    assert [it.status for it in landing.load()] == [FileStatus.REJECTED, FileStatus.LOADED]
    assert {row[1] for row in landing.lines()} == {"sales_2024-03.csv"}


def test_a_file_that_was_archived_stays_loaded(landing: Landing) -> None:
    drop(landing.folder, "sales_2024-03.r2.csv", two_lines(quantity="8"))
    landing.load()
    before = landing.lines()
    (landing.folder / "sales_2024-03.r2.csv").unlink()
    drop(landing.folder, "sales_2024-03.csv", two_lines())
    assert [it.status for it in landing.load()] == [FileStatus.REPLACED]
    assert landing.lines() == before


@pytest.mark.parametrize(
    "name",
    [
        "sales_2026-03.csv\nERROR invented",
        "sales_2026-03_'; drop table sales.files; --.csv",
        "sales_2026-03_<img onerror=alert(1)>.csv",
        "sales_2026-03_..%2f..%2fetc.csv",
        "=cmd|'calc'!A1.csv",
        "sales_2026-03.r99999999999999999999.csv",
        "sales_9999999-03.csv",
    ],
)
def test_a_hostile_file_name_is_left_alone_in_one_line(landing: Landing, name: str) -> None:
    drop(landing.folder, name, two_lines())
    drop(landing.folder, "sales_2026-02.csv", two_lines())
    landing.load()
    assert landing.files() == {"sales_2026-02.csv": "loaded"}
    (message,) = [each for each in landing.messages if "left alone" in each]
    assert name.partition("\n")[0] in message
    assert message.isprintable()


def test_files_are_loaded_in_order_of_their_month(landing: Landing) -> None:
    for month in ("2024-03", "2023-12", "2024-01"):
        line = order_line(order_date=f"{month}-05", ship_date="")
        drop(landing.folder, f"sales_{month}.csv", csv_text([line]))
    assert [it.file.key for it in landing.load()] == ["2023-12", "2024-01", "2024-03"]


def test_a_file_that_may_still_be_written_is_left_for_the_next_run(landing: Landing) -> None:
    landing.folder.mkdir()
    (landing.folder / "sales_2024-03.csv").write_text(two_lines())
    (landing.folder / "sales_march.csv").write_text(two_lines())
    assert landing.load() == []
    assert sorted(message.partition(" ")[0] for message in landing.messages) == [
        "sales_2024-03.csv",
        "sales_march.csv",
    ]
    later = DropFolder(
        landing.folder, clock=lambda: (landing.folder / "sales_2024-03.csv").stat().st_mtime + 11
    )
    assert [file.name for file in complete_files(later)] == ["sales_2024-03.csv"]


def test_a_failed_load_leaves_no_half_of_a_file(landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(landing.folder, "sales_2024-03.csv", two_lines())
    landing.load()
    before = landing.lines()
    drop(landing.folder, "sales_2024-03.csv", two_lines(quantity="9"))

    def fail(*_: object) -> None:
        raise WarehouseError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("dvd_rental_pipeline.pipelines.sales.loading._note", fail)
        with pytest.raises(WarehouseError):
            landing.load()
    assert landing.lines() == before
    assert landing.load()[0].changed == 1


def test_a_declaration_of_formats_that_is_not_valid_is_named(landing: Landing) -> None:
    drop(landing.folder, "formats.json", '[{"decimal": ",", "thousands": ","}]')
    with pytest.raises(PipelineError, match=r"formats\.json is not valid: .*same character"):
        landing.load()


def some_file(month: int, quantities: Sequence[str]) -> str:
    day = f"2024-{month:02}-05"
    return csv_text(
        [
            order_line(
                order_number=f"{month}", order_line=str(number), order_date=day, ship_date="", quantity=text
            )
            for number, text in enumerate(quantities, start=1)
        ]
    )


FILES = st.dictionaries(
    st.tuples(st.integers(1, 2), st.sampled_from(["", "_emea"]), st.integers(1, 3)),
    st.one_of(st.just(None), st.lists(st.sampled_from(["1", "2", "x"]), max_size=3)),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@settings(max_examples=10)
@given(files=FILES, data=st.data())
def test_any_order_and_repetition_of_files_gives_the_same_tables(
    tmp_path_factory: pytest.TempPathFactory,
    files: dict[tuple[int, str, int], list[str] | None],
    data: st.DataObject,
) -> None:
    contents = {
        f"sales_2024-{month:02}{part}.r{revision}.csv": "not a header\n"
        if cells is None
        else some_file(month, cells)
        for (month, part, revision), cells in files.items()
    }
    at_once = Landing(tmp_path_factory.mktemp("at_once"))
    for name, content in contents.items():
        drop(at_once.folder, name, content)
    at_once.load()
    one_by_one = Landing(tmp_path_factory.mktemp("one_by_one"))
    order = data.draw(st.permutations(sorted(contents)))
    repeated = data.draw(st.lists(st.sampled_from(order), max_size=2))
    for name in (*order, *repeated):
        drop(one_by_one.folder, name, contents[name])
        one_by_one.load()
    assert one_by_one.tables() == at_once.tables()
