"""The JSON Schemas of records as a page."""

from pathlib import Path

from dvd_rental_pipeline.pipelines.registry import ASSET_PIPELINES
from dvd_rental_pipeline.publishing.documentation.record_schema import RecordProperty, list_properties

SCHEMA = {
    "required": ["name"],
    "properties": {
        "name": {"type": "object", "properties": {"first": {"$ref": "#/$defs/text"}}},
        "postcode": {"type": ["integer", "string"], "description": "A number in most countries"},
    },
    "$defs": {"text": {"type": "string", "maxLength": 20, "pattern": "^a"}},
}


def test_every_property_is_listed_with_its_rules() -> None:
    assert list_properties(SCHEMA) == [
        RecordProperty("name", True, "object", "", ""),
        RecordProperty("name.first", False, "string", 'pattern "^a", maxLength 20', ""),
        RecordProperty("postcode", False, "integer or string", "", "A number in most countries"),
    ]


def test_the_page_shows_the_records_of_every_pipeline(pages: Path) -> None:
    text = (pages / "records.html").read_text(encoding="utf-8")
    assert [file.name for each in ASSET_PIPELINES for file in each.record_schemas] == ["user.schema.json"]
    assert "login.uuid" in text
    assert 'href="records.html"' in (pages / "index.html").read_text(encoding="utf-8")
