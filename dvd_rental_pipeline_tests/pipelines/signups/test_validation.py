"""Each rule of validation as one small example."""

from dataclasses import fields
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dvd_rental_pipeline.pipelines.signups.validation import USER_SCHEMA, User, validate
from dvd_rental_pipeline.sample.signups_api.users import COUNTRIES
from dvd_rental_pipeline_tests.pipelines.signups.records import change, record, without


def _rejection(bad: Any) -> tuple[str, str]:
    users, (rejection,) = validate([bad])
    assert not users
    return rejection.path, rejection.reason


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(USER_SCHEMA)


@pytest.mark.parametrize("nationality", sorted(COUNTRIES))
def test_user_of_every_country_is_accepted(nationality: str) -> None:
    users, rejections = validate([record(nationality=nationality)])
    assert not rejections
    assert users[0].nationality == nationality


def test_postcode_may_be_a_number_or_a_text() -> None:
    users, _ = validate(
        [change(record(1), "location.postcode", 20095), change(record(2), "location.postcode", "PR8 1AA")]
    )
    assert [user.postcode for user in users] == ["20095", "PR8 1AA"]


@pytest.mark.parametrize("path", ["email", "login.uuid", "name.last", "dob.date", "location.country", "nat"])
def test_required_property_is_missing(path: str) -> None:
    parent, _, name = path.rpartition(".")
    assert _rejection(without(record(), path)) == (f"$.{parent}" if parent else "$", f"lacks {name}")


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("gender", "unknown", "enum"),
        ("email", "ada.example.com", "format"),
        ("email", None, "type"),
        ("email", "ada@", "pattern"),
        ("name.first", "  ", "pattern"),
        ("login.uuid", "7", "format"),
        ("name.first", "", "minLength"),
        ("name.first", "a" * 201, "maxLength"),
        ("dob.date", "yesterday", "format"),
        ("dob.date", "2026-02-30T00:00:00Z", "format"),
        ("dob.date", "0001-01-01T00:00:00Z", "pattern"),
        ("location.street.number", -1, "minimum"),
        ("location.street.number", "7", "type"),
        ("location.coordinates.latitude", "91.0", "pattern"),
        ("location.coordinates.longitude", "181", "pattern"),
        ("nat", "Germany", "pattern"),
    ],
)
def test_value_is_refused_by_a_rule(path: str, value: Any, rule: str) -> None:
    where, reason = _rejection(change(record(), path, value))
    assert where == f"$.{path}"
    assert reason.startswith(f"does not meet {rule}: ")


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_postgresql_cannot_store_is_refused(text: str) -> None:
    assert "PostgreSQL cannot store" in _rejection(change(record(), "name.first", text))[1]


def test_rejection_quotes_no_value() -> None:
    bad = change(record(), "email", "ada-at-home")
    assert "ada" not in str(_rejection(bad))


def test_valid_records_of_a_batch_are_kept() -> None:
    users, rejections = validate([record(1), {}, record(2), None, record(3)])
    assert len(users) == 3
    assert [rejection.position for rejection in rejections] == [1, 3]


def test_the_last_record_of_a_user_counts() -> None:
    users, _ = validate([record(1), record(2), change(record(1), "phone", "0123")])
    assert [user.phone for user in users if user.email == record(1)["email"]] == ["0123"]
    assert len(users) == 2


def test_passwords_and_hashes_are_not_kept() -> None:
    users, _ = validate([record()])
    login = record()["login"]
    secrets = ("password", "salt", "md5", "sha1", "sha256")
    assert not {login[name] for name in secrets} & set(vars(users[0]).values())
    assert not {*secrets, "age"} & {field.name for field in fields(User)}
