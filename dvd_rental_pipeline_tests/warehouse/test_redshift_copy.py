"""The COPY statement for Redshift, parsed by a grammar of Redshift; no cluster runs it."""

import pytest
import sqlfluff

from dvd_rental_pipeline.pipelines.sales.columns import arrow_schema
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.interface import TableName
from dvd_rental_pipeline.warehouse.redshift_copy import copy_statement

TABLE = TableName("sales", "order_lines")
ROLE = "arn:aws:iam::123456789012:role/dvd-rental/loader"


def test_it_is_a_statement_of_redshift() -> None:
    columns = arrow_schema("order_lines").names
    statement = copy_statement(TABLE, columns, "s3://sales-lake/loads/sales_2024-03/", ROLE)
    assert statement.startswith('copy "sales"."order_lines" ("file_key", "file_name"')
    parsed = sqlfluff.parse(f"{statement}\n", dialect="redshift")
    assert "copy_statement" in str(parsed)
    with pytest.raises(sqlfluff.api.APIParsingError):
        sqlfluff.parse(statement.replace("iam_role", "role_of"), dialect="redshift")


@pytest.mark.parametrize(
    ("location", "role"),
    [("s3://lake/a' access_key_id 'x", ROLE), ("lake/a.parquet", ROLE), ("s3://lake/a", "loader' region 'x")],
)
def test_nothing_is_smuggled_into_it(location: str, role: str) -> None:
    with pytest.raises(WarehouseError, match=r"Cannot load into sales\.order_lines"):
        copy_statement(TABLE, ["file_key"], location, role)
