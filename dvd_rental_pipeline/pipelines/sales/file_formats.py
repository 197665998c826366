"""How numbers, dates and text are written in a file: declared in `formats.json` beside the files."""

import codecs
from fnmatch import fnmatch
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from dvd_rental_pipeline.core.errors import PipelineError

FORMATS_FILE = "formats.json"


class FileFormat(BaseModel):
    """The format of the files whose names match `files`. `dates` are formats of strptime, tried in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: str = "*"
    encoding: str = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    decimal: Annotated[str, Field(pattern=r"^[.,]$")] = "."
    thousands: Annotated[str, Field(pattern=r"^[.,' ]?$")] = ","
    dates: Annotated[tuple[str, ...], Field(min_length=1)] = ("%Y-%m-%d",)

    @model_validator(mode="after")
    def _is_consistent(self) -> "FileFormat":
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands are the same character")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ValueError(f"{self.encoding!r} is not an encoding") from None
        return self


def parse_formats(content: bytes | None, address: str) -> tuple[FileFormat, ...]:
    """The formats that the file at `address` declares; none if there is no such file.

    Raises:
        PipelineError: it is not valid.
    """
    if content is None:
        return ()
    try:
        return TypeAdapter(tuple[FileFormat, ...]).validate_json(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        )
        raise PipelineError(f"{address} is not valid: {problems}. Nothing was loaded.") from None


def format_of(name: str, formats: tuple[FileFormat, ...]) -> FileFormat:
    """The first format that matches `name`; else UTF-8, commas, decimal points and ISO dates."""
    return next((each for each in formats if fnmatch(name, each.files)), FileFormat())
