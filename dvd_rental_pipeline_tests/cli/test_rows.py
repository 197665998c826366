"""Rows fit into the terminal, or are printed below each other; nothing of a value is cut."""

import io
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from rich.console import Console

from dvd_rental_pipeline.cli import rows as module
from dvd_rental_pipeline.cli.rows import print_rows
from dvd_rental_pipeline.warehouse.interface import Rows

FILMS = Rows(
    ["film", "rentals", "revenue"], [("ALIEN [1979]", 7, Decimal("20.93")), ("BRAZIL", None, Decimal("0.99"))]
)
WIDE = Rows([f"column_{n}" for n in range(12)], [tuple(f"value {n}" for n in range(12))] * 2)

Shown = Callable[[Rows], list[str]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """The lines that a terminal of 80 columns shows."""

    def show(rows: Rows, *, is_terminal: bool = True) -> list[str]:
        output = io.StringIO()
        console = Console(file=output, width=80, force_terminal=is_terminal, no_color=True, highlight=False)
        monkeypatch.setattr(module, "Console", lambda **_: console)
        print_rows(rows)
        return output.getvalue().splitlines()

    return show


def test_a_table_that_fits_is_a_table(shown: Shown) -> None:
    lines = shown(FILMS)
    assert len(lines) == 6
    assert "ALIEN [1979] │       7 │   20.93" in lines[3]


def test_a_table_that_does_not_fit_is_printed_vertically(shown: Shown) -> None:
    lines = shown(WIDE)
    assert all(len(line) <= 80 for line in lines)
    assert any("1 of 2" in line for line in lines)
    assert sum(line.split() == ["column_11", "value", "11"] for line in lines) == 2


def test_a_file_gets_a_table_of_any_width(shown: Callable[..., list[str]]) -> None:
    lines = shown(WIDE, is_terminal=False)
    assert len(lines) == 6
    assert lines[3].count("value") == 12


def test_json_and_csv_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    rows = Rows(["day", "amount", "note"], [(date(2024, 2, 29), Decimal("1.10"), None)])
    print_rows(rows, as_json=True)
    assert capsys.readouterr().out.split() == (
        ["[", "{", '"day":', '"2024-02-29",', '"amount":', "1.1,", '"note":', "null", "}", "]"]
    )
    print_rows(rows, as_csv=True)
    assert capsys.readouterr().out == "day,amount,note\n2024-02-29,1.10,\n"
