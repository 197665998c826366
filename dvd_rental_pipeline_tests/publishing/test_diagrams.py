"""The diagrams show every table and every reference, and nothing lies on anything else."""

import itertools
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import pytest

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.publishing.documentation.data_model import DATA_MODEL_FILE, render_data_model
from dvd_rental_pipeline.publishing.documentation.layout import Drawing, lay_out
from dvd_rental_pipeline.publishing.documentation.mermaid import entity_diagram
from dvd_rental_pipeline.publishing.documentation.svg import entity_svg
from dvd_rental_pipeline.transform.manifest import Model

LAYERS = ["raw", "marts"]
GUARDED_BY_NO_KEY = {("customer", "store_id"), ("inventory", "store_id"), ("staff", "store_id")}


def foreign_keys_of_the_source() -> set[tuple[str, str, str]]:
    """Table, column and the table referred to, as PostgreSQL's own schema declares them."""
    text = (PROJECT_ROOT / "dvd_rental_pipeline" / "sample" / "dvd_rental" / "schema.sql").read_text(
        encoding="utf-8"
    )
    found = set()
    for table, body in re.findall(r"ALTER TABLE(?: ONLY)? (\w+)(.*?);", text, re.DOTALL):
        for column, target in re.findall(r"FOREIGN KEY \((\w+)\) REFERENCES (\w+)", body):
            found.add((table, column, target))
    return found


def test_the_references_of_the_source_are_its_foreign_keys_and_the_stores_that_none_guards(
    model: Model,
) -> None:
    declared = foreign_keys_of_the_source()
    assert len(declared) == 18
    drawn = {
        (edge.table.split(".")[1], edge.column, edge.to_table.split(".")[1])
        for edge in model.only("raw").references
    }
    assert drawn == declared | {(table, column, "store") for table, column in GUARDED_BY_NO_KEY}


def test_the_references_of_the_marts_are_those_that_tests_hold(
    model: Model, manifest: Mapping[str, Any]
) -> None:
    marts = model.only("marts")
    tested = {
        (node["attached_node"].split(".")[-1], node["test_metadata"]["kwargs"]["column_name"])
        for node in manifest["nodes"].values()
        if (node.get("test_metadata") or {}).get("name") == "relationships"
        and f"marts.{node['attached_node'].split('.')[-1]}" in marts.tables
        and re.search(r"ref\('(dim|fct|bridge)_", node["test_metadata"]["kwargs"]["to"])
    }
    assert tested
    assert {(edge.table.split(".")[1], edge.column) for edge in marts.references} == tested


def test_facts_lead_to_their_dimensions(model: Model) -> None:
    edges = {(edge.table, edge.to_table) for edge in model.references}
    for dimension in ("customer", "film", "store", "staff", "date"):
        targets = {target for table, target in edges if table == "marts.fct_rental"}
        assert any(target.startswith(f"marts.dim_{dimension}") for target in targets), dimension


def test_every_table_has_a_key(model: Model) -> None:
    without = {
        name
        for layer in LAYERS
        for name, table in model.only(layer).tables.items()
        if not table.key and name != "marts.data_as_of"
    }
    assert without == set(), "data_as_of is one row; every other table has a key that a test holds"


@pytest.mark.parametrize("layer", LAYERS)
def test_mermaid_shows_each_table_column_and_reference(layer: str, model: Model) -> None:
    part = model.only(layer)
    text = entity_diagram(part)
    for table in part.tables.values():
        block = text.split(f"    {table.short_name} {{\n")[1].split("    }\n")[0]
        assert [line.split()[1] for line in block.splitlines()] == [column.name for column in table.columns]
    drawn = re.findall(r"^    (\w+) [}|][o|]--\|\| (\w+) : (\w+)$", text, re.MULTILINE)
    assert drawn == [
        (edge.table.split(".")[1], edge.to_table.split(".")[1], edge.column) for edge in part.references
    ]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_drawing_shows_each_table_column_and_reference(layer: str, model: Model) -> None:
    part = model.only(layer)
    svg = entity_svg(part, "A title & more")
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own text
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    titles = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    for table in part.tables.values():
        assert table.short_name in texts
        assert {column.name for column in table.columns} <= set(texts)
    for edge in part.references:
        assert f"{edge.table}.{edge.column} refers to {edge.to_table}.{edge.to_column}" in titles
    assert "href" not in svg, "a drawing that loads nothing shows everywhere"
    assert entity_svg(part, "A title & more") == svg, "the same model gives the same drawing"


@pytest.mark.parametrize("layer", LAYERS)
def test_no_table_lies_on_another_and_no_line_on_a_table(layer: str, model: Model) -> None:
    drawing = lay_out(model.only(layer))
    boxes = list(drawing.boxes.values())
    for one, other in itertools.combinations(boxes, 2):
        apart = (
            one.x + one.width <= other.x
            or other.x + other.width <= one.x
            or one.y + one.height <= other.y
            or other.y + other.height <= one.y
        )
        assert apart, f"{one.table.name} lies on {other.table.name}"
    assert crossed_tables(drawing) == []


def crossed_tables(drawing: Drawing) -> list[str]:
    return [
        f"{line.reference} crosses {box.table.name}"
        for line in drawing.lines
        for (x1, y1), (x2, y2) in itertools.pairwise(line.points)
        for box in drawing.boxes.values()
        if max(min(x1, x2), box.x) < min(max(x1, x2), box.x + box.width) + (x1 == x2) * 0.001
        and max(min(y1, y2), box.y) < min(max(y1, y2), box.y + box.height) + (y1 == y2) * 0.001
    ]


def test_the_repositorys_picture_of_the_data_model_is_up_to_date(manifest: Mapping[str, Any]) -> None:
    assert DATA_MODEL_FILE.read_text(encoding="utf-8") == render_data_model(manifest), (
        "render it again: python -m dvd_rental_pipeline.publishing.documentation.data_model"
    )
