"""Parse the text of a `.env` file: lines NAME=value, quoted as python-dotenv has it."""

import io
from collections.abc import Mapping

from dotenv.parser import parse_stream


class EnvSyntaxError(ValueError):
    """Lines are not NAME=value. The message gives their numbers alone, since a value may be a secret."""


def parse_env(text: str) -> Mapping[str, str]:
    """Values by name; of a name that is set twice, the last value.

    Raises:
        EnvSyntaxError: a line is not NAME=value, a comment or blank.
    """
    bindings = list(parse_stream(io.StringIO(text)))
    malformed = [
        str(binding.original.line)
        for binding in bindings
        if binding.error or (binding.key and binding.value is None)
    ]
    if malformed:
        raise EnvSyntaxError(f"line {', '.join(malformed)} is not NAME=value")
    return {binding.key: binding.value for binding in bindings if binding.key and binding.value is not None}
