"""Each generic dbt test of the project fails for every fault that it exists for, and for nothing else."""

import re
from collections.abc import Iterator

import duckdb
import jinja2
import pytest

from dvd_rental_pipeline.core.settings import DBT_PROJECT_DIR

FOLDER = DBT_PROJECT_DIR / "tests" / "generic"
MACROS = "\n".join(
    re.sub(r"{%(-?) *(end)?test\b", r"{%\1 \2macro", file.read_text()) for file in sorted(FOLDER.glob("*.sql"))
)


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def failures(warehouse: duckdb.DuckDBPyConnection, test: str, rows: str, **arguments: object) -> int:
    """How many rows `test` returns for a model with `rows`, SQL values with column names."""
    warehouse.execute(f"create or replace table model as select * from {rows}")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701 - renders SQL
    template = environment.from_string(MACROS)
    module = template.make_module({"ref": lambda name: name, "none": None})
    return len(warehouse.execute(getattr(module, test)(model="model", **arguments)).fetchall())


ARGUMENTS: dict[str, dict[str, object]] = {
    "conserves_totals": {
        "rentals": "rentals", "payments": "payments", "revenue": "revenue", "row_for_each": "films",
    },
    "does_not_overlap": {"key": "id", "starts": "f", "ends": "t"},
    "has_no_gap": {"key": "id"},
    "has_no_rows": {},
    "is_present": {"column_name": "n", "key": "id"},
    "is_true": {"column_name": "ok"},
    "not_negative": {"column_name": "n"},
    "primary_key": {"columns": ["a", "b"]},
    "sums_to_rows": {"summed": "n", "of": "films"},
    "validity_is_sound": {"key": "id"},
}  # fmt: skip

# Two rentals, three payments of 10 in all, two films.
TOTALS = "(values {}) as t (rentals, payments, revenue)"
PERIODS = "(values {}) as t (id, f, t)"
VERSIONS = """(select id, valid_from::timestamp as valid_from, valid_to::timestamp as valid_to, is_current
    from (values {}) as t (id, valid_from, valid_to, is_current))"""
FIRST = "(1, '1900-01-01', '2020-01-01', false)"

CASES = [
    ("conserves_totals", TOTALS.format("(1, 1, 4), (1, 2, 6)"), 0, "equal totals"),
    ("conserves_totals", TOTALS.format("(1, 1, 4), (2, 2, 6)"), 1, "a rental too many"),
    ("conserves_totals", TOTALS.format("(1, 1, 4), (0, 2, 6)"), 1, "a rental too few"),
    ("conserves_totals", TOTALS.format("(1, 2, 4), (1, 2, 6)"), 1, "a payment too many"),
    ("conserves_totals", TOTALS.format("(1, 0, 4), (1, 2, 6)"), 1, "a payment too few"),
    ("conserves_totals", TOTALS.format("(1, 1, 4.01), (1, 2, 6)"), 1, "a cent too much"),
    ("conserves_totals", TOTALS.format("(1, 1, 3.99), (1, 2, 6)"), 1, "a cent too little"),
    ("conserves_totals", TOTALS.format("(1, 1, 4), (1, 2, 6), (0, 0, 0)"), 1, "a row too many"),
    ("conserves_totals", TOTALS.format("(2, 3, 10)"), 1, "a row too few"),
    ("conserves_totals", f"{TOTALS.format('(1, 1, 1)')} where false", 1, "no row"),
    (
        "does_not_overlap",
        PERIODS.format("(1, 1, 2), (1, 2, 3), (2, 1, 9), (1, 3, null)"),
        0,
        "adjacent",
    ),
    ("does_not_overlap", PERIODS.format("(1, 1, 3), (1, 2, 3)"), 1, "one inside another"),
    ("does_not_overlap", PERIODS.format("(1, 1, null), (1, 2, 3)"), 1, "one after an open one"),
    ("does_not_overlap", PERIODS.format("(1, 1, null), (1, 1, null)"), 1, "two open ones"),
    (
        "has_no_gap",
        VERSIONS.format(f"{FIRST}, (1, '2020-01-01', null, true), (2, '2021-01-01', null, true)"),
        0,
        "adjacent",
    ),
    ("has_no_gap", VERSIONS.format(f"{FIRST}, (1, '2020-01-02', null, true)"), 1, "a day between"),
    ("has_no_gap", VERSIONS.format(f"{FIRST}, (1, '2019-12-31', null, true)"), 1, "overlap"),
    (
        "has_no_gap",
        VERSIONS.format("(1, '2019-01-01', null, true), (1, '2020-01-01', null, true)"),
        1,
        "open, not last",
    ),
    ("has_no_rows", "(values (1)) as t (n) where n > 1", 0, "no row"),
    ("has_no_rows", "(values (1), (null)) as t (n)", 2, "two rows"),
    ("is_present", "(values (1, 0), (2, 5)) as t (id, n)", 0, "present"),
    ("is_present", "(values (1, 0), (2, null), (3, null)) as t (id, n)", 2, "null"),
    ("is_true", "(values (true), (null)) as t (ok)", 0, "true or unknown"),
    ("is_true", "(values (true), (false), (false)) as t (ok)", 2, "false"),
    ("not_negative", "(values (0), (1), (null)) as t (n)", 0, "zero, positive, unknown"),
    ("not_negative", "(values (0), (-0.01), (-5)) as t (n)", 2, "negative"),
    ("primary_key", "(values (1, 1), (1, 2), (2, 1)) as t (a, b)", 0, "distinct"),
    ("primary_key", "(values (1, 1), (1, 1), (1, 2)) as t (a, b)", 1, "duplicate"),
    ("primary_key", "(values (1, 1), (null, 2)) as t (a, b)", 1, "first column null"),
    ("primary_key", "(values (1, 1), (2, null)) as t (a, b)", 1, "last column null"),
    ("sums_to_rows", "(values (2), (0)) as t (n)", 0, "the sum is the number of rows"),
    ("sums_to_rows", "(values (2), (1)) as t (n)", 1, "one too many"),
    ("sums_to_rows", "(values (1), (null)) as t (n)", 1, "one too few"),
    ("sums_to_rows", "(values (2)) as t (n) where false", 1, "no row"),
    ("validity_is_sound", VERSIONS.format(f"{FIRST}, (1, '2020-01-01', null, true)"), 0, "two versions"),
    ("validity_is_sound", VERSIONS.format(f"{FIRST}, (1, '2020-01-01', '2020-01-01', false)"), 1, "empty"),
    ("validity_is_sound", VERSIONS.format(f"{FIRST}, (1, '2019-12-31', null, true)"), 1, "overlap"),
    (
        "validity_is_sound",
        VERSIONS.format(f"{FIRST}, (1, '2020-01-01', null, false)"),
        1,
        "not flagged",
    ),
    (
        "validity_is_sound",
        VERSIONS.format(f"{FIRST}, (1, '2020-01-01', '2021-01-01', true)"),
        1,
        "flagged, not current",
    ),
    (
        "validity_is_sound",
        VERSIONS.format("(1, '1900-01-01', null, true), (1, '2020-01-01', null, true)"),
        1,
        "two current",
    ),
    ("validity_is_sound", VERSIONS.format("(1, '1900-01-02', null, true)"), 1, "starts late"),
]


@pytest.mark.parametrize(
    ("test", "rows", "expected"),
    [pytest.param(test, rows, count, id=f"{test}: {name}") for test, rows, count, name in CASES],
)
def test_a_generic_test_fails_for_faults_alone(
    warehouse: duckdb.DuckDBPyConnection, test: str, rows: str, expected: int
) -> None:
    warehouse.execute("create table fct_rental as select unnest([1, 2]) as rental_id")
    warehouse.execute("create table fct_payment as select unnest([4.0, 3.5, 2.5])::decimal(9, 2) as amount")
    warehouse.execute("create table films as select unnest([1, 2]) as film_id")
    assert failures(warehouse, test, rows, **ARGUMENTS[test]) == expected


def test_every_generic_test_has_a_case_that_passes_and_one_that_fails() -> None:
    tested = {(test, expected > 0) for test, _, expected, _ in CASES}
    assert tested == {(file.stem, fails) for file in FOLDER.glob("*.sql") for fails in (True, False)}
