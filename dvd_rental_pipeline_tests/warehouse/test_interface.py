"""Query, transaction, load and merge: each warehouse behaves alike."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dvd_rental_pipeline.core.settings import Settings
from dvd_rental_pipeline.warehouse.duckdb_warehouse import DuckDBWarehouse
from dvd_rental_pipeline.warehouse.errors import WarehouseError
from dvd_rental_pipeline.warehouse.interface import Session, TableName, Warehouse
from dvd_rental_pipeline.warehouse.postgres_warehouse import PostgresWarehouse
from dvd_rental_pipeline.warehouse.snowflake_login import SnowflakeLogin
from dvd_rental_pipeline.warehouse.snowflake_warehouse import SnowflakeWarehouse
from dvd_rental_pipeline_tests.stand_ins.snowflake.stand_in import SnowflakeStandIn, set_up

FILMS = TableName("sales", "film")
MONEY = pa.decimal128(10, 2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SnowflakeStandIn]:
    with SnowflakeStandIn(tmp_path_factory.mktemp("snowflake")) as server:
        set_up(server)
        yield server


@pytest.fixture(params=["duckdb", pytest.param("snowflake", marks=pytest.mark.slow), "postgres"])
def warehouse(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """A warehouse with the empty schema `sales`."""
    if request.param == "duckdb":
        with duckdb.connect(tmp_path / "warehouse.duckdb") as connection:
            connection.execute("create schema sales")
        yield DuckDBWarehouse(tmp_path / "warehouse.duckdb")
        return
    if request.param == "postgres":
        postgres = PostgresWarehouse(request.getfixturevalue("database_url"))
        postgres.create_schema("sales")
        yield postgres
        return
    server: SnowflakeStandIn = request.getfixturevalue("server")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    server.query("drop schema if exists DVD_RENTALS.SALES")
    server.query("create schema DVD_RENTALS.SALES")
    # As the account's design grants them on schemas that are loaded from files.
    server.query("grant usage, create table, create stage on schema DVD_RENTALS.SALES to role TRANSFORMER")
    yield SnowflakeWarehouse(SnowflakeLogin.from_settings(Settings.load(Path("/none"))), {"test": "interface"})


def films(**prices: str | None) -> pa.Table:
    """Rows of `sales.film`: a title, which is the key, and a price."""
    return pa.table(
        {
            "title": pa.array(prices.keys(), pa.string()),
            "price": pa.array([Decimal(price) if price else None for price in prices.values()], MONEY),
        }
    )


def stored(warehouse: Warehouse) -> dict[str, Decimal | None]:
    """What `films` has put into `sales.film`."""
    return {
        str(title): price
        for title, price in warehouse.query("select title, price from sales.film order by title").values
    }


def test_a_query_returns_exact_values_by_lower_case_names(warehouse: Warehouse) -> None:
    rows = warehouse.query("select 1 as one, cast(2.50 as numeric(5, 2)) as PRICE")
    assert [name.lower() for name in rows.columns] == ["one", "price"]
    assert rows.values == [(1, Decimal("2.50"))]


def test_a_value_is_bound_and_never_read_as_sql(warehouse: Warehouse) -> None:
    value = "'; drop table film; --"
    assert warehouse.query("select ? as value, ? as number", [value, 7]).values == [(value, 7)]


def test_a_query_cannot_write(warehouse: Warehouse) -> None:
    warehouse.load(FILMS, films(alien="0.99"))
    with pytest.raises(WarehouseError, match="rejected"):
        warehouse.query("delete from sales.film")
    assert stored(warehouse) == {"alien": Decimal("0.99")}


@pytest.mark.parametrize(
    "statement", ["select 1; delete from sales.film", "select 1; commit; delete from sales.film"]
)
def test_a_query_is_one_statement(warehouse: Warehouse, statement: str) -> None:
    warehouse.load(FILMS, films(alien="0.99"))
    with pytest.raises(WarehouseError):
        warehouse.query(statement)
    assert stored(warehouse) == {"alien": Decimal("0.99")}


def test_queries_of_one_session_see_what_is_committed_and_fail_alone(warehouse: Warehouse) -> None:
    warehouse.load(FILMS, films(alien="0.99"))
    with warehouse.reading() as reader:
        assert reader.query("select ? as value", [7]).values == [(7,)]
        with pytest.raises(WarehouseError):
            reader.query("select * from sales.missing")
        with pytest.raises(WarehouseError):
            reader.query("delete from sales.film")
        with pytest.raises(WarehouseError):
            reader.query("select 1; delete from sales.film")
        assert reader.query("select title from sales.film").values == [("alien",)]
    assert stored(warehouse) == {"alien": Decimal("0.99")}


def test_a_schema_is_created_once(warehouse: Warehouse) -> None:
    for _ in range(2):
        warehouse.create_schema("purchases")
    warehouse.load(TableName("purchases", "film"), films(alien="0.99"))
    assert warehouse.query("select title from purchases.film").values == [("alien",)]


def test_the_statements_of_a_transaction_are_committed_together(warehouse: Warehouse) -> None:
    warehouse.load(FILMS, films(alien="0.99", brazil="1.99"))
    with warehouse.transaction() as session:
        session.execute("delete from sales.film where title = ?", ["alien"])
        session.execute("insert into sales.film (title, price) values (?, ?)", ["casablanca", Decimal("2.99")])
        assert session.execute("select count(*) from sales.film").values == [(2,)]
    assert stored(warehouse) == {"brazil": Decimal("1.99"), "casablanca": Decimal("2.99")}


def test_an_exception_rolls_the_transaction_back(warehouse: Warehouse) -> None:
    warehouse.load(FILMS, films(alien="0.99"))

    def delete_and_fail(then: Callable[[Session], object]) -> None:
        with warehouse.transaction() as session:
            session.execute("delete from sales.film")
            then(session)

    with pytest.raises(ZeroDivisionError):
        delete_and_fail(lambda _: 1 / 0)
    with pytest.raises(WarehouseError, match="rejected"):
        delete_and_fail(lambda session: session.execute("delete from sales.no_such_table"))
    assert stored(warehouse) == {"alien": Decimal("0.99")}


def test_a_load_creates_the_table_and_appends_to_it(warehouse: Warehouse) -> None:
    assert warehouse.load(FILMS, films(alien="0.99")) == 1
    assert warehouse.load(FILMS, films(brazil="1.99", casablanca=None)) == 2
    assert stored(warehouse) == {"alien": Decimal("0.99"), "brazil": Decimal("1.99"), "casablanca": None}


def test_several_tables_are_loaded_in_one_session(warehouse: Warehouse) -> None:
    actors = TableName("sales", "actor")
    rows = {FILMS: films(alien="0.99"), actors: pa.table({"name": ["Penelope", "Nick"]})}
    assert warehouse.load_all(rows) == {FILMS: 1, actors: 2}
    assert stored(warehouse) == {"alien": Decimal("0.99")}
    assert warehouse.query("select name from sales.actor order by name").values == [("Nick",), ("Penelope",)]


def test_record_batches_and_a_parquet_file_load_like_a_table(warehouse: Warehouse, tmp_path: Path) -> None:
    pq.write_table(films(alien="0.99"), tmp_path / "a film's rows.parquet")
    assert warehouse.load(FILMS, tmp_path / "a film's rows.parquet") == 1
    batches = films(brazil="1.99", casablanca="2.99").to_batches(max_chunksize=1)
    assert warehouse.load(FILMS, pa.RecordBatchReader.from_batches(batches[0].schema, iter(batches))) == 2
    assert list(stored(warehouse)) == ["alien", "brazil", "casablanca"]


def test_every_type_of_a_fact_table_arrives_exactly(warehouse: Warehouse) -> None:
    row = {
        "id": 2**53 + 1,
        "ratio": 0.25,
        "amount": Decimal("12345678.90"),
        "name": 'O\'Brien "é"',
        "is_open": True,
        "day": date(1999, 12, 31),
        "created_at": datetime(2024, 2, 29, 23, 59, 59, 123456),
        "seen_at": datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC),
        "nothing": None,
    }
    types = {
        "id": pa.int64(),
        "ratio": pa.float64(),
        "amount": MONEY,
        "name": pa.string(),
        "is_open": pa.bool_(),
        "day": pa.date32(),
        "created_at": pa.timestamp("us"),
        "seen_at": pa.timestamp("us", tz="UTC"),
        "nothing": pa.int32(),
    }
    warehouse.load(FILMS, pa.table({name: pa.array([row[name]], type_) for name, type_ in types.items()}))
    (record,) = warehouse.query(f"select {', '.join(types)} from sales.film").records()
    assert record == row


def test_columns_that_the_rows_lack_are_null(warehouse: Warehouse) -> None:
    warehouse.load(FILMS, films(alien="0.99"))
    warehouse.load(FILMS, films(brazil="1.99").select(["title"]))
    assert stored(warehouse) == {"alien": Decimal("0.99"), "brazil": None}


def test_a_column_that_the_table_lacks_is_named_and_no_row_is_added(warehouse: Warehouse) -> None:
    warehouse.load(FILMS, films(alien="0.99"))
    wider = films(brazil="1.99").append_column("length", pa.array([143]))
    for write in (lambda: warehouse.load(FILMS, wider), lambda: warehouse.merge(FILMS, wider, ["title"])):
        with pytest.raises(WarehouseError, match=r"sales\.film: it has no column length"):
            write()
    assert stored(warehouse) == {"alien": Decimal("0.99")}


def test_a_merge_updates_inserts_and_can_be_repeated(warehouse: Warehouse) -> None:
    assert warehouse.merge(FILMS, films(alien="0.99", brazil="1.99"), ["title"]) == 2
    changes = films(brazil="4.99", casablanca="2.99")
    expected = {"alien": Decimal("0.99"), "brazil": Decimal("4.99"), "casablanca": Decimal("2.99")}
    for _ in range(2):
        assert warehouse.merge(FILMS, changes, ["title"]) == 2
        assert stored(warehouse) == expected


def test_a_merge_keeps_the_columns_that_the_rows_lack(warehouse: Warehouse) -> None:
    warehouse.merge(FILMS, films(alien="0.99"), ["title"])
    warehouse.merge(FILMS, films(alien="0.00", brazil="0.00").select(["title"]), ["title"])
    assert stored(warehouse) == {"alien": Decimal("0.99"), "brazil": None}


def test_a_merge_by_several_columns_compares_all_of_them(warehouse: Warehouse) -> None:
    def stock(**copies: tuple[int, int]) -> pa.Table:
        rows = [(title, store, number) for title, (store, number) in copies.items()]
        return pa.table(
            {name: [row[at] for row in rows] for at, name in enumerate(("title", "store", "copies"))}
        )

    warehouse.merge(FILMS, stock(alien=(1, 3)), ["title", "store"])
    warehouse.merge(FILMS, stock(alien=(2, 5)), ["title", "store"])
    warehouse.merge(FILMS, stock(alien=(1, 4)), ["title", "store"])
    rows = warehouse.query("select store, copies from sales.film order by store").values
    assert rows == [(1, 4), (2, 5)]


@pytest.mark.parametrize("title", ["alien", None], ids=["not unique", "null"])
def test_an_ambiguous_key_is_rejected_and_nothing_changes(warehouse: Warehouse, title: str | None) -> None:
    warehouse.merge(FILMS, films(alien="0.99"), ["title"])
    rows = pa.concat_tables(
        [
            films(alien="1.99"),
            pa.table({"title": pa.array([title], pa.string()), "price": pa.array([None], MONEY)}),
        ]
    )
    with pytest.raises(WarehouseError, match=r"Cannot merge into sales\.film"):
        warehouse.merge(FILMS, rows, ["title"])
    assert stored(warehouse) == {"alien": Decimal("0.99")}


def test_names_that_need_quotes_are_quoted(warehouse: Warehouse) -> None:
    table = TableName("sales", 'Order "2"')
    rows = pa.table({"group": ["a"], "Total Amount": [1]})
    assert warehouse.merge(table, rows, ["group"]) == 1
    assert warehouse.merge(table, rows, ["group"]) == 1
    assert warehouse.query('select "Total Amount" from sales."Order ""2"""').values == [(1,)]


def test_no_staged_rows_are_left(warehouse: Warehouse) -> None:
    warehouse.load(FILMS, films(alien="0.99"))
    warehouse.merge(FILMS, films(alien="1.99"), ["title"])
    tables = warehouse.query(
        "select lower(table_name) from information_schema.tables where lower(table_schema) = 'sales'"
    )
    assert tables.values == [("film",)]


def test_results_are_exported_as_parquet_with_exact_numbers(warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.load(FILMS, films(Alien="2.99", Brazil=None, Casablanca="4.10"))
    some, none = tmp_path / "it's some.parquet", tmp_path / "none.parquet"
    counts = warehouse.export(
        {
            some: "select title, price, 7 as number from sales.film order by title",
            none: "select title, price from sales.film where title = 'Dune'",
        }
    )
    assert counts == {some: 3, none: 0}
    assert pq.read_table(some).to_pylist() == [
        {"title": "Alien", "price": Decimal("2.99"), "number": 7},
        {"title": "Brazil", "price": None, "number": 7},
        {"title": "Casablanca", "price": Decimal("4.10"), "number": 7},
    ]
    assert pq.read_table(none).column_names == ["title", "price"]


def test_an_export_cannot_write(warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.load(FILMS, films(Alien="2.99"))
    with pytest.raises(WarehouseError):
        warehouse.export({tmp_path / "x.parquet": "delete from sales.film"})
    assert stored(warehouse) == {"Alien": Decimal("2.99")}
