"""No text of a CSV file is executed by a spreadsheet."""

import pyarrow as pa
import pytest

from dvd_rental_pipeline.publishing.spreadsheet_text import safe_batch, safe_cell

FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=\n1"]
OTHERS = ["a=1", "", "1-2", "'=1", "Amélie\n=1", None]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_becomes_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [*OTHERS, -1, 2.5])
def test_other_values_stay(value: object) -> None:
    assert safe_cell(value) == value


def test_batches_are_treated_as_cells_are() -> None:
    texts = [*FORMULAS, *OTHERS]
    batch = pa.record_batch({"text": texts, "number": [-1] * len(texts)})
    assert safe_batch(batch).to_pydict() == {
        "text": [safe_cell(text) for text in texts],
        "number": [-1] * len(texts),
    }
