"""A dbt test in words: what it holds, and which section of the runbook says what to do when it fails."""

import re
from collections.abc import Mapping
from typing import Any

from dvd_rental_pipeline.core.runbook import Section

SECTIONS = {
    "primary_key": Section.PRIMARY_KEY,
    "conserves_totals": Section.CONSERVATION,
    "equals_the_source_view": Section.CONSERVATION,
    "ends_with_open_rentals": Section.CONSERVATION,
    "validity_is_sound": Section.HISTORY_GAPS,
    "_history_agrees_with_": Section.HISTORY_GAPS,
    "does_not_overlap": Section.OVERLAPPING_RENTALS,
    "is_paid_by_renter": Section.FOREIGN_PAYMENTS,
}
"""By a part of the test's kind or name; what is not here is an ordinary test of dbt."""


def runbook_section(test: Mapping[str, Any]) -> Section:
    """The section for `test`, a test's node of the manifest."""
    named = f"{(test.get('test_metadata') or {}).get('name', '')} {test['name']}"
    return next((section for part, section in SECTIONS.items() if part in named), Section.DBT_TESTS)


def describe_test(test: Mapping[str, Any]) -> str:
    """What `test`, a test's node of the manifest, holds: its own description, or a sentence from its kind."""
    described = test["config"].get("meta", {}).get("description") or test.get("description")
    return str(described) if described else _sentence(test)


def _sentence(test: Mapping[str, Any]) -> str:
    kind = test.get("test_metadata") or {"name": "", "kwargs": {}}
    arguments = kind["kwargs"]
    column = f"`{arguments.get('column_name')}`"
    match kind["name"]:
        case "not_null":
            sentence = f"Every row has a value in {column}"
        case "unique":
            sentence = f"No two rows share a value of {column}"
        case "not_negative":
            sentence = f"{column} is never below zero"
        case "accepted_values":
            sentence = f"{column} is one of {', '.join(str(value) for value in arguments['values'])}"
        case "primary_key":
            columns = ", ".join(f"`{name}`" for name in arguments["columns"])
            sentence = f"Every row has its own {columns}"
        case "relationships":
            named = re.search(r"['\"](\w+)['\"]\s*\)", arguments["to"])
            parent = named.group(1) if named else arguments["to"]
            sentence = f"Every {column} is a `{arguments['field']}` of `{parent}`"
        case _:
            sentence = str(test["name"]).replace("_", " ")
    return sentence
