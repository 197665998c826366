"""The description of a dbt test, and the section of the runbook for its failures."""

import re

from dvd_rental_pipeline.core.runbook import Section
from dvd_rental_pipeline.transform.manifest import DbtTest

SECTIONS = {
    "primary_key": Section.PRIMARY_KEY,
    "conserves_totals": Section.CONSERVATION,
    "equals_the_source_view": Section.CONSERVATION,
    "ends_with_open_rentals": Section.CONSERVATION,
    "validity_is_sound": Section.HISTORY_GAPS,
    "has_no_gap": Section.HISTORY_GAPS,
    "_history_agrees_with_": Section.HISTORY_GAPS,
    "does_not_overlap": Section.OVERLAPPING_RENTALS,
    "is_paid_by_renter": Section.FOREIGN_PAYMENTS,
    "has_no_rows_implausible_times": Section.IMPLAUSIBLE_TIMES,
    "is_present_fct_payment_rental_id": Section.PAYMENTS_WITHOUT_RENTAL,
}
"""By a part of the test's kind or name; all others are in `Section.DBT_TESTS`."""


def runbook_section(test: DbtTest) -> Section:
    """The section for failures of `test`."""
    text = f"{test.kind} {test.name}"
    return next((section for part, section in SECTIONS.items() if part in text), Section.DBT_TESTS)


def describe_test(test: DbtTest) -> str:
    """What `test` asserts: its own description, or a sentence for its kind, or its name."""
    return test.description or _sentence(test)


def _sentence(test: DbtTest) -> str:
    column = f"`{test.arguments.get('column_name')}`"
    match test.kind:
        case "not_null":
            sentence = f"Every row has a value in {column}"
        case "unique":
            sentence = f"No two rows share a value of {column}"
        case "not_negative":
            sentence = f"{column} is never below zero"
        case "accepted_values":
            sentence = f"{column} is one of {', '.join(str(value) for value in test.arguments['values'])}"
        case "primary_key":
            columns = ", ".join(f"`{name}`" for name in test.arguments["columns"])
            sentence = f"Every row has its own {columns}"
        case "relationships":
            ref = re.search(r"['\"](\w+)['\"]\s*\)", test.arguments["to"])
            parent = ref.group(1) if ref else test.arguments["to"]
            sentence = f"Every {column} is a `{test.arguments['field']}` of `{parent}`"
        case _:
            sentence = test.name.replace("_", " ")
    return sentence
