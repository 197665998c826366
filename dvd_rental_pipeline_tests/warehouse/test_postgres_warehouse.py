"""What only PostgreSQL does as a warehouse: locks between processes, messages, large loads."""

import threading
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dvd_rental_pipeline.core.settings import Deployment, Settings, SettingsError
from dvd_rental_pipeline.warehouse.deployment import open_warehouse
from dvd_rental_pipeline.warehouse.errors import WarehouseError, WarehouseUnavailableError
from dvd_rental_pipeline.warehouse.interface import TableName
from dvd_rental_pipeline.warehouse.postgres_warehouse import PostgresWarehouse

TABLE = TableName("sales", "film")


@pytest.fixture
def warehouse(database_url: str) -> PostgresWarehouse:
    created = PostgresWarehouse(database_url)
    created.create_schema("sales")
    return created


def test_one_setting_chooses_it(database_url: str) -> None:
    settings = Settings(warehouse_url=database_url)
    assert settings.dbt_target == "postgres"
    assert open_warehouse(settings, {}).query("select current_database()").values[0][0] in database_url
    with pytest.raises(SettingsError, match="unset DVD_RENTAL_WAREHOUSE_URL"):
        open_warehouse(Settings(warehouse_url=database_url, deployment=Deployment.PRODUCTION), {})


def test_several_queries_need_one_login(warehouse: PostgresWarehouse) -> None:
    with warehouse.reading() as reader:
        sessions = {reader.query("select pg_backend_pid()").values[0][0] for _ in range(3)}
    assert len(sessions) == 1


def test_the_password_is_not_shown(database_url: str) -> None:
    assert "secret" not in repr(PostgresWarehouse("postgresql://user:secret@localhost/db"))
    with pytest.raises(WarehouseUnavailableError, match="Check DVD_RENTAL_WAREHOUSE_URL") as raised:
        PostgresWarehouse("postgresql://user:secret@127.0.0.1:1/db").query("select 1")
    assert "secret" not in str(raised.value)


def test_a_second_run_waits_for_the_lock_of_a_schema(warehouse: PostgresWarehouse) -> None:
    waiting, entered, messages = threading.Event(), threading.Event(), []

    def second() -> None:
        def on_wait(message: str) -> None:
            messages.append(message)
            waiting.set()

        with warehouse.lock(["sales"], on_wait):
            entered.set()

    thread = threading.Thread(target=second)
    with warehouse.lock(["sales"], print), warehouse.lock(["other"], print):
        thread.start()
        assert waiting.wait(10)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()
    assert messages == ["waiting for another run that uses the tables of sales in the warehouse"]


@pytest.mark.parametrize(
    "statement",
    [
        "copy (select 1) to program 'cat > /dev/null'",
        "/* select */ delete from sales.film",
        "explain analyze delete from sales.film",
        "with gone as (delete from sales.film returning 1) select * from gone",
    ],
)
def test_no_query_changes_anything(warehouse: PostgresWarehouse, statement: str) -> None:
    warehouse.load(TABLE, pa.table({"title": ["alien"]}))
    with pytest.raises(WarehouseError, match="rejected"):
        warehouse.query(statement)
    assert warehouse.query("select title from sales.film").values == [("alien",)]


def test_placeholders_in_texts_and_comments_are_none(warehouse: PostgresWarehouse) -> None:
    rows = warehouse.query("select '?' as \"a?\", 7 % 4, ?::text -- ?\n", ["100%"])
    assert (rows.columns[0], rows.values) == ("a?", [("?", 3, "100%")])


def test_empty_texts_quotes_and_newlines_survive_a_load(warehouse: PostgresWarehouse) -> None:
    texts = ["", None, '"', "a,b", "x\ny", "\\N", "\\.", "é"]
    warehouse.load(TABLE, pa.table({"at": range(len(texts)), "title": pa.array(texts, pa.string())}))
    assert [row[0] for row in warehouse.query("select title from sales.film order by at").values] == texts


def test_a_value_that_cannot_be_stored_leaves_no_rows(warehouse: PostgresWarehouse) -> None:
    warehouse.load(TABLE, pa.table({"title": ["alien"]}))
    with pytest.raises(WarehouseError, match=r"Cannot load into sales\.film"):
        warehouse.load(TABLE, pa.table({"title": ["brazil", "a\0b"]}))
    assert warehouse.query("select count(*) from sales.film").values == [(1,)]


def test_results_are_exported_with_exact_numbers(warehouse: PostgresWarehouse, tmp_path: Path) -> None:
    warehouse.load(TABLE, pa.table({"title": ["alien", "brazil"], "copies": [1, 2]}))
    some, none = tmp_path / "some.parquet", tmp_path / "none.parquet"
    query = (
        "select title, copies, sum(copies * 0.01) over () as share, date '2024-02-29' as day from sales.film"
    )
    assert warehouse.export({some: f"{query} order by 1", none: f"{query} where false"}) == {some: 2, none: 0}
    row = {"share": Decimal("0.03"), "day": date(2024, 2, 29)}
    assert pq.read_table(some).to_pylist() == [
        {"title": "alien", "copies": 1, **row},
        {"title": "brazil", "copies": 2, **row},
    ]
    assert pq.read_table(none).column_names == ["title", "copies", "share", "day"]
    with pytest.raises(WarehouseError):
        warehouse.export({none: "delete from sales.film returning 1"})


def test_a_file_is_streamed_in_batches(warehouse: PostgresWarehouse, tmp_path: Path, database_url: str) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"number": range(300_000)}), path, row_group_size=50_000)
    assert warehouse.load(TABLE, path) == 300_000
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select count(distinct number) from sales.film").fetchone() == (300_000,)
