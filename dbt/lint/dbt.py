"""Stand-ins for dbt's macros, with which sqlfluff renders the models without dbt and without a warehouse."""


def concat(fields: list[str]) -> str:
    return f"concat({', '.join(fields)})"


def dateadd(datepart: str, interval: object, from_date_or_timestamp: str) -> str:
    return f"date_add({from_date_or_timestamp}, {interval})"


def datediff(first_date: str, second_date: str, datepart: str) -> str:
    return f"date_diff('{datepart}', {first_date}, {second_date})"


def date_trunc(datepart: str, date: str) -> str:
    return f"date_trunc('{datepart}', {date})"


def generate_series(upper_bound: int) -> str:
    return f"select {upper_bound} as generated_number"


def hash(field: str) -> str:  # noqa: A001 - dbt's name
    return f"md5({field})"


def snapshot_hash_arguments(columns: list[str]) -> str:
    return f"md5(concat({', '.join(columns)}))"


def type_string() -> str:
    return "varchar"
