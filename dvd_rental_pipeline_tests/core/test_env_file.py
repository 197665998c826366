"""The text of a `.env` file: names, quotes, comments, and errors that never show a value."""

import pytest

from dvd_rental_pipeline.core.env_file import EnvSyntaxError, parse_env


def test_values_are_unquoted_and_comments_ignored() -> None:
    text = "# a comment\n\nA=1\nexport B='two $words'\nC=\"a\nb\"\nD=\n"
    assert parse_env(text) == {"A": "1", "B": "two $words", "C": "a\nb", "D": ""}


def test_the_last_value_of_a_name_wins() -> None:
    assert parse_env("A=1\nA=2\n") == {"A": "2"}


def test_malformed_lines_are_given_by_number_only() -> None:
    with pytest.raises(EnvSyntaxError) as caught:
        parse_env("A=1\nplanted-secret\nB=2\nplanted secret\n")
    assert str(caught.value) == "line 2, 4 is not NAME=value"
