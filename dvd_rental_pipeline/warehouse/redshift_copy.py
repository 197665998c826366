"""The statement that loads Parquet files from S3 into Redshift. It is parsed in tests, and was never run."""

import re
from collections.abc import Sequence

from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.interface import TableName

_LOCATION = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[\w!.*()/=-]+")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")


def copy_statement(table: TableName, columns: Sequence[str], location: str, iam_role: str) -> str:
    """COPY of the Parquet files at `location` (a key or a prefix) into `columns` of `table`, in their order.

    Redshift reads the files itself, in parallel, with the rights of `iam_role`.

    Raises:
        WarehouseError: `location` or `iam_role` is not one.
    """
    if not _LOCATION.fullmatch(location):
        raise WarehouseError(f"Cannot load into {table}: {location!r} is not a key or prefix in S3.")
    if not _ROLE.fullmatch(iam_role):
        raise WarehouseError(f"Cannot load into {table}: {iam_role!r} is not the ARN of a role.")
    names = ", ".join(map(_quote, columns))
    target = f"{_quote(table.schema)}.{_quote(table.name)}"
    return f"copy {target} ({names}) from '{location}' iam_role '{iam_role}' format as parquet"


def _quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
