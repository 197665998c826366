"""What is checked of the stored users after each load: a query of what is wrong each, without personal data.

They read the last day alone, so that the load of a minute does not take longer with every user.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dvd_rental_pipeline.pipelines.signups.store import SignupsStore

SAMPLE_ROWS = 10


@dataclass(frozen=True)
class Problem:
    """What a check found, in words, with the number of rows that are wrong, and some of them."""

    text: str
    rows: int
    sample: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class StoreCheck:
    """A check: `query` selects what is wrong, none of it personal; `problem` describes a `number` over `limit`.

    The number is that of the selected rows, or what `measure` selects.
    """

    name: str
    description: str
    query: str
    problem: str
    measure: str | None = None
    limit: float = 0

    def find_problem(self, store: SignupsStore) -> Problem | None:
        """Return what is wrong, or None.

        Raises:
            SignupsStoreError: the database cannot be read.
        """
        ((rows,),) = store.query(f"select count(*) from ({self.query}) as wrong").values
        number = rows
        if self.measure is not None:
            ((number,),) = store.query(self.measure).values
        if number <= self.limit:
            return None
        sample = store.query(f"select * from ({self.query}) as wrong limit {SAMPLE_ROWS}").records()
        return Problem(self.problem.format(number=float(number)), rows, sample)


STORE_CHECKS = (
    StoreCheck(
        "minutes_without_users",
        "Every minute of the last day that was loaded has users.",
        "select minute, received, rejected from signups.loaded_batches"
        " where received = rejected and minute > now() - interval '1 day' order by minute desc",
        "{number:g} minutes of the last day were loaded without a valid user.",
    ),
    StoreCheck(
        "rejected_share",
        "At most 5 % of the records of the last day were rejected.",
        "select path, reason, count(*) as records from signups.rejected_records"
        " where minute > now() - interval '1 day' group by path, reason order by records desc",
        "{number:.1f} % of the records of the last day were rejected, for the reasons in "
        "`signups.rejected_records`.",
        measure="select coalesce(100.0 * sum(rejected) / nullif(sum(received), 0), 0) from"
        " signups.loaded_batches where minute > now() - interval '1 day'",
        limit=5,
    ),
    StoreCheck(
        "one_country_per_nationality",
        "New users of one nationality live in one country, as the API gives them.",
        "select nationality, string_agg(distinct country, ', ' order by country) as countries"
        " from signups.users where updated_at > now() - interval '1 day'"
        " group by nationality having count(distinct country) > 1 order by nationality",
        "{number:g} nationalities have new users in several countries.",
    ),
    StoreCheck(
        "plausible_age",
        "New users are between 13 and 110 years old.",
        "select user_uuid, first_seen_at from signups.users where updated_at > now() - interval '1 day'"
        " and date_of_birth not between current_date - interval '110 years'"
        " and current_date - interval '13 years'"
        " order by first_seen_at desc, user_uuid",
        "{number:g} new users are younger than 13 or older than 110.",
    ),
    StoreCheck(
        "email_used_once",
        "No new user has the e-mail address of another user.",
        "select count(*) as users, string_agg(user_uuid::text, ', ' order by user_uuid) as user_uuids"
        " from signups.users where lower(email) in"
        " (select lower(email) from signups.users where updated_at > now() - interval '1 day')"
        " group by lower(email) having count(*) > 1 order by user_uuids",
        "{number:g} e-mail addresses of new users belong to several users.",
    ),
)
