"""The terms of a diagnosis."""

from dataclasses import dataclass
from enum import Enum


class Health(Enum):
    """GOOD needs nothing; NOTE is worth knowing; BAD stops the pipeline."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True)
class Diagnosis:
    """One examined subject. `remedy` says how to fix what is not good."""

    health: Health
    subject: str
    found: str
    remedy: str | None = None
