"""The diagrams show every table and every reference, without overlaps."""

import itertools
import re
from xml.etree import ElementTree

import pytest

from dvd_rental_pipeline.core.settings import PROJECT_ROOT
from dvd_rental_pipeline.pipelines.registry import PIPELINES
from dvd_rental_pipeline.publishing.documentation.data_model import DATA_MODEL_FILE, render_data_model
from dvd_rental_pipeline.publishing.documentation.entity_model import EntityModel
from dvd_rental_pipeline.publishing.documentation.layout import Drawing, lay_out
from dvd_rental_pipeline.publishing.documentation.mermaid import entity_diagram
from dvd_rental_pipeline.publishing.documentation.svg import render_svg
from dvd_rental_pipeline.transform.manifest import Manifest

LAYERS = ["raw", "marts"]
WITHOUT_CONSTRAINT = {("customer", "store_id"), ("inventory", "store_id"), ("staff", "store_id")}


def source_foreign_keys() -> set[tuple[str, str, str]]:
    """Table, column and referenced table of the foreign keys in the schema of the source."""
    text = (PROJECT_ROOT / "dvd_rental_pipeline" / "sample" / "dvd_rental" / "schema.sql").read_text(
        encoding="utf-8"
    )
    found = set()
    for table, body in re.findall(r"ALTER TABLE(?: ONLY)? (\w+)(.*?);", text, re.DOTALL):
        for column, target in re.findall(r"FOREIGN KEY \((\w+)\) REFERENCES (\w+)", body):
            found.add((table, column, target))
    return found


def test_references_of_the_source_are_its_foreign_keys_and_unconstrained_stores(model: EntityModel) -> None:
    declared = source_foreign_keys()
    assert declared
    drawn = {
        (edge.table.split(".")[1], edge.column, edge.to_table.split(".")[1])
        for edge in model.only("raw").references
    }
    assert drawn == declared | {(table, column, "store") for table, column in WITHOUT_CONSTRAINT}


def test_references_of_the_marts_are_asserted_by_dbt_tests(model: EntityModel, manifest: Manifest) -> None:
    marts = model.only("marts")
    tested = {
        (tested.split(".")[-1], arguments["column_name"])
        for tested, arguments in manifest.generic_tests("relationships")
        if f"marts.{tested.split('.')[-1]}" in marts.tables
        and re.search(r"ref\('(dim|fct|bridge)_", arguments["to"])
    }
    assert tested
    assert {(edge.table.split(".")[1], edge.column) for edge in marts.references} == tested


def test_facts_refer_to_their_dimensions(model: EntityModel) -> None:
    edges = {(edge.table, edge.to_table) for edge in model.references}
    for dimension in ("customer", "film", "store", "staff", "date"):
        targets = {target for table, target in edges if table == "marts.fct_rental"}
        assert any(target.startswith(f"marts.dim_{dimension}") for target in targets), dimension


# Their pipelines declare the keys, and check them in Python.
LOADED_SCHEMAS = {"sales", "totesys", "totesys_lake"}


def test_every_table_has_a_key(model: EntityModel) -> None:
    without = {
        name
        for layer in LAYERS
        for name, table in model.only(layer).tables.items()
        if not table.key and not name.endswith("data_as_of") and name.partition(".")[0] not in LOADED_SCHEMAS
    }
    assert without == set(), "every table but those of one row has a tested key"


@pytest.mark.parametrize("layer", LAYERS)
def test_mermaid_shows_each_table_column_and_reference(layer: str, model: EntityModel) -> None:
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
def test_the_drawing_shows_each_table_column_and_reference(layer: str, model: EntityModel) -> None:
    part = model.only(layer)
    svg = render_svg(lay_out(part), "A title & more")
    root = ElementTree.fromstring(svg)  # noqa: S314 - rendered by this package
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    titles = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    for table in part.tables.values():
        assert table.short_name in texts
        assert {column.name for column in table.columns} <= set(texts)
    for edge in part.references:
        assert f"{edge.table}.{edge.column} refers to {edge.to_table}.{edge.to_column}" in titles
    assert "href" not in svg, "the image loads nothing"
    assert render_svg(lay_out(part), "A title & more") == svg, "rendering is deterministic"


@pytest.mark.parametrize("layer", LAYERS)
def test_tables_do_not_overlap_and_lines_do_not_cross_them(layer: str, model: EntityModel) -> None:
    drawing = lay_out(model.only(layer))
    boxes = list(drawing.boxes.values())
    for one, other in itertools.combinations(boxes, 2):
        apart = (
            one.x + one.width <= other.x
            or other.x + other.width <= one.x
            or one.y + one.height <= other.y
            or other.y + other.height <= one.y
        )
        assert apart, f"{one.table.name} overlaps {other.table.name}"
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


def test_the_rendered_data_model_is_up_to_date(manifest: Manifest) -> None:
    rendered = render_data_model(manifest, [pipeline.domain for pipeline in PIPELINES])
    assert DATA_MODEL_FILE.read_text(encoding="utf-8") == rendered, (
        "run `python -m dvd_rental_pipeline.pipelines.render`"
    )
