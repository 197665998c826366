"""What is checked of the stored users after each load: one query each. No values are shown."""

from dataclasses import dataclass

from dvd_rental_pipeline.pipelines.signups.store import SignupsStore


@dataclass(frozen=True)
class StoreCheck:
    """A check: `statement` returns a number, and `problem` describes one that exceeds `limit`."""

    name: str
    description: str
    statement: str
    problem: str
    limit: float = 0

    def find_problem(self, store: SignupsStore) -> str | None:
        """Return what is wrong, or None."""
        number = store.query_number(self.statement)
        return self.problem.format(number=number) if number > self.limit else None


STORE_CHECKS = (
    StoreCheck(
        "minutes_without_users",
        "Every minute of the last day that was loaded has users.",
        "select count(*) from signups.loaded_batches"
        " where received = rejected and minute > now() - interval '1 day'",
        "{number:g} minutes of the last day were loaded without a valid user.",
    ),
    StoreCheck(
        "rejected_share",
        "At most 5 % of the records of the last day were rejected.",
        "select coalesce(100.0 * sum(rejected) / nullif(sum(received), 0), 0) from signups.loaded_batches"
        " where minute > now() - interval '1 day'",
        "{number:.1f} % of the records of the last day were rejected, for the reasons in "
        "`signups.rejected_records`.",
        limit=5,
    ),
    StoreCheck(
        "one_country_per_nationality",
        "Users of one nationality live in one country, as the API gives them.",
        "select count(*) from (select nationality from signups.users"
        " group by nationality having count(distinct country) > 1) as mixed",
        "{number:g} nationalities have users in several countries.",
    ),
    StoreCheck(
        "plausible_age",
        "Users are between 13 and 110 years old.",
        "select count(*) from signups.users"
        " where date_of_birth > current_date - interval '13 years'"
        " or date_of_birth < current_date - interval '110 years'",
        "{number:g} users are younger than 13 or older than 110.",
    ),
    StoreCheck(
        "email_used_once",
        "No two users have the same e-mail address.",
        "select count(*) from (select lower(email) from signups.users"
        " group by lower(email) having count(*) > 1) as shared",
        "{number:g} e-mail addresses belong to several users.",
    ),
)
