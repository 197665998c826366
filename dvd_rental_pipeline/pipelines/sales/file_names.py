"""What the name of a sales file says: its month, its part, its revision."""

import re
from dataclasses import dataclass
from datetime import date

NAME = re.compile(
    r"sales_(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])(?:_(?P<part>[a-z0-9-]+))?(?:\.r(?P<revision>[1-9]\d{0,3}))?\.csv",
    re.IGNORECASE,
)
EXPECTED = "sales_YYYY-MM.csv, with _PART for one of several files of a month and .rN for a correction"


@dataclass(frozen=True, order=True)
class SalesFile:
    """A file of one month. Files sort by month, part and revision, whenever they arrived."""

    period: date
    part: str
    revision: int
    name: str

    @property
    def key(self) -> str:
        """What all revisions of the file share."""
        return f"{self.period:%Y-%m}{'_' if self.part else ''}{self.part}"


def parse_file_name(name: str) -> SalesFile | None:
    """The file that `name` denotes; None if it is not that of a sales file."""
    found = NAME.fullmatch(name)
    if found is None or int(found["year"]) < 1970:
        return None
    period = date(int(found["year"]), int(found["month"]), 1)
    return SalesFile(period, (found["part"] or "").lower(), int(found["revision"] or 1), name)
