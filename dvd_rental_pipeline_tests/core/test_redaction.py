"""No form of a secret is left in a message."""

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from dvd_rental_pipeline.core.redaction import MASK, redact
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.session import error_message

PASSWORD = r"p@ss w/o'rd\%+\"x"
ENCODED = quote(PASSWORD, safe="")


@pytest.mark.parametrize(
    "quoted",
    [
        PASSWORD,
        ENCODED,
        quote(PASSWORD),
        quote_plus(PASSWORD),
        quote(PASSWORD, safe="!$&'()*+,;=:@"),
        make_conninfo("", password=PASSWORD).removeprefix("password='").removesuffix("'"),
        json.dumps(PASSWORD)[1:-1],
        PASSWORD.replace("'", "''"),
    ],
    ids=["bare", "URL", "URL path", "form", "user info", "connection string", "JSON", "SQL"],
)
def test_a_password_is_removed_from_an_error_of_the_source(quoted: str) -> None:
    url = f"postgresql://someone:{ENCODED}@db.example:5432/rental"
    for sqlstate in (None, "28P01"):
        message = error_message(url, f"cannot use <{quoted}> here", sqlstate)
        assert quoted not in message
        assert f"<{MASK}> here" in message


@given(st.text(min_size=1), st.text(), st.text())
def test_no_secret_is_left(secret: str, before: str, after: str) -> None:
    assume(not set(secret) & set(MASK))
    assert secret not in redact(before + secret + after, [secret])


def test_an_empty_secret_changes_nothing() -> None:
    assert redact("a message", [""]) == "a message"
