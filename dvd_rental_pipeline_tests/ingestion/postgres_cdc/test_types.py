"""Values of every type are replicated exactly, by a copy as by the change stream."""

import json
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvd_rental_pipeline.ingestion.postgres_cdc.connect.column_types import array_json, is_widening
from dvd_rental_pipeline.sample.postgres.server import EmbeddedPostgres
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

pytestmark = pytest.mark.every_postgres

# Each type with example values as SQL. NULL is added to all of them.
EXAMPLES = {
    "smallint": ["1", "-32768", "32767"],
    "integer": ["2", "-2147483648", "2147483647"],
    "bigint": ["3", "-9223372036854775808", "9223372036854775807"],
    "boolean": ["true", "false"],
    "real": ["1.1", "'NaN'", "'-Infinity'", "3.4e38", "1e-45"],
    "double precision": ["1.1", "'Infinity'", "'-0'", "1.7976931348623157e308", "5e-324", "0.1"],
    "numeric(5,2)": ["1.10", "-999.99", "0"],
    "numeric(38,10)": ["1234567890123456789012345678.0123456789", "-0.0000000001"],
    "numeric(45,3)": ["0.5", "999999999999999999999999999999999999999999.999"],
    "numeric": ["1.500", "-1e41", "1e-50", "'NaN'", "'Infinity'"],
    "numeric(3,-2)": ["1200", "-99900"],
    "numeric(2,5)": ["0.00012", "0.00099"],
    "text": ["'text'", "''", "E'tab\\tline\\nquote\"''\\\\ ☃'", "'NULL'"],
    "varchar(40)": ["'varchar'", "' both '"],
    "character(8)": ["'char'", "''", "'  x'"],
    '"char"': ["'c'"],
    "name": ["'name'"],
    "date": [
        "'2024-02-29'",
        "'4713-01-01 BC'",
        "'infinity'",
        "'-infinity'",
        "'5874897-12-31'",
        "'12024-01-01'",
    ],
    "timestamp": [
        "'2024-02-29 12:34:56.789'",
        "'0044-03-15 12:00:00.5 BC'",
        "'infinity'",
        "'0001-01-01 BC'",
        "'294246-12-31 23:59:59.999999'",
    ],
    "timestamptz": [
        "'2024-02-29 12:34:56+05:30'",
        "'0044-03-15 12:00:00+00 BC'",
        "'-infinity'",
        "'12024-01-01 00:00+00'",
        "'294246-12-30 23:59:59.999999+00'",
    ],
    "timestamp(0)": ["'2024-02-29 12:34:56.7'"],
    "time": ["'12:34:56.7'", "'24:00:00'", "'00:00'"],
    "timetz": ["'12:34:56+02'", "'00:00:00+15'"],
    "interval": ["'1 year 2 days 03:04:05'", "'-178000000 years'", "'1 mon -1 day +00:00:00.000001'"],
    "bytea": ["'\\x00ff10'", "''", "'\\x'"],
    "mood": ["'happy'", "'so, \"so\" \\'"],
    "year": ["2006", "1901"],
    "code": ["'ab'", "'  '"],
    "text[]": [
        "'{a,b}'",
        "'{}'",
        '\'{NULL,"NULL",""," ","a\\"b\\\\c","{,}",☃}\'',
        "'{{a,b},{c,NULL}}'",
    ],
    "character(4)[]": ["'{ab,c}'", "'{NULL,x}'"],
    "integer[]": ["'{1,2}'", "'[2:3]={1,NULL}'", "'{}'"],
    "boolean[]": ["'{t,f,NULL}'"],
    "double precision[]": ["'{1.5,2}'", "'{NaN,-Infinity,NULL}'"],
    "numeric(5,2)[]": ["'{1.50}'", "'{NaN,NULL}'"],
    "date[]": ["'{2024-02-29}'", "'{infinity,NULL,0044-03-15 BC}'"],
    "mood[]": ["'{happy}'", '\'{"so, \\"so\\" \\\\"}\''],
    "box[]": ["'{(1,1),(0,0)}'", "'{(1,1),(0,0);(2,2),(0,0)}'"],
    "json": ["'{\"a\": [1,  2]}'", "'null'"],
    "jsonb": ['\'{"b":1,"a":1e3}\'', "'null'"],
    "uuid": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
    "tsvector": ["'a fat cat'", "''"],
    "tsquery": ["'fat & cat'"],
    "inet": ["'10.0.0.1'", "'::1/64'"],
    "cidr": ["'10.0.0.0/8'", "'::/0'"],
    "bit varying": ["'1011'", "''"],
    "money": ["12.34", "'-92233720368547758.08'"],
    "point": ["'(1,2)'", "'(1e300,-0)'"],
    "int4range": ["'[1,5)'", "'empty'"],
    "pair_of": ["'(1,\"x y\")'", "'(,)'"],
    "oid": ["7", "4294967295"],
    "regclass": ["'pg_class'", "'copied'"],
}
TYPED = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "boolean": "BOOLEAN",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "numeric(5,2)": "DECIMAL(5,2)",
    "numeric(38,10)": "DECIMAL(38,10)",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "timestamp(0)": "TIMESTAMP",
    "time": "TIME",
    "bytea": "BLOB",
    "year": "INTEGER",
    "text[]": "VARCHAR[]",
    "character(4)[]": "VARCHAR[]",
    "integer[]": "INTEGER[]",
    "boolean[]": "BOOLEAN[]",
    "double precision[]": "DOUBLE[]",
    "numeric(5,2)[]": "VARCHAR[]",
    "date[]": "VARCHAR[]",
    "mood[]": "VARCHAR[]",
}
COLUMNS = {f"c{position}": kind for position, kind in enumerate(EXAMPLES)}


def _create(pair: Pair) -> None:
    pair.run(
        "create type mood as enum ('happy', 'sad', 'so, \"so\" \\')",
        "create type pair_of as (a int, b text)",
        "create domain year as integer check (value >= 1901)",
        "create domain short_code as character(5)",
        "create domain code as short_code",
    )
    kinds = COLUMNS
    if pair.source.info.server_version < 150000:
        # A negative scale, or one larger than the precision, is possible since PostgreSQL 15.
        later = ("numeric(3,-2)", "numeric(2,5)")
        kinds = {name: "numeric" if kind in later else kind for name, kind in COLUMNS.items()}
    for table in ("copied", "streamed"):
        columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        pair.run(f"create table {table} (id serial primary key, {columns})")


def test_values_of_every_type_are_exact_by_copy_and_by_stream(pair: Pair) -> None:
    _create(pair)
    for row in range(max(map(len, EXAMPLES.values())) + 1):
        values = ", ".join(values[row] if row < len(values) else "null" for values in EXAMPLES.values())
        pair.run(f"insert into copied ({', '.join(COLUMNS)}) values ({values})")
    pair.sync()
    pair.run("insert into streamed select * from copied")
    assert {table.mode for table in pair.sync().tables.values()} == {"changes"}
    columns = ", ".join(f"{name}::varchar" for name in COLUMNS)
    query = f"select {columns}, _airbyte_meta->>'$.changes' from dvd_rental.{{}} order by id"
    copied = pair.raw(query.format("copied"))
    assert copied == pair.raw(query.format("streamed"))
    assert {row[-1] for row in copied} == {"[]"}


@pytest.mark.parametrize(
    "setting",
    [
        "timezone = 'America/New_York'",
        "datestyle = 'German, DMY'",
        "intervalstyle = 'iso_8601'",
        "bytea_output = 'escape'",
        "extra_float_digits = '-15'",
        "search_path = 'public'",
    ],
)
def test_settings_of_the_source_do_not_change_values(pair: Pair, setting: str) -> None:
    pair.run(
        "create table t (id int primary key, moment timestamptz, moments timestamptz[], during tstzrange,"
        " days date[],"
        " span interval, spans interval[], raw bytea, ratio float8, ratios float8[])"
    )
    values = (
        "'2024-03-10 07:30:00+00', array['2024-11-03 05:30:00+00', '2024-07-01 00:00:00+00']::timestamptz[],"
        " '[2024-03-10 06:59:00+00, 2024-03-10 07:01:00+00)', array['2024-02-03', '2024-12-11']::date[],"
        " '1 year 2 mons 3 days 04:05:06.7', array['-1 mons +3 days']::interval[], 'a\\000b',"
        " 0.1234567890123456, array[1.1, 2.2e-300]"
    )
    pair.run(f"insert into t values (1, {values})")
    database = pair.value("select current_database()")
    pair.run(f'alter database "{database}" set {setting}')
    pair.sync()
    pair.run(f"insert into t values (2, {values})")
    assert pair.sync_one().mode == "changes"
    columns = "moment, moments, during, days, span, spans, raw, ratio, ratios"
    first, second = pair.raw(f"select {columns} from dvd_rental.t order by id")
    assert first == second, "a copy and the stream agree"
    assert str(pair.raw("select moment at time zone 'UTC' from dvd_rental.t")[0][0]) == ("2024-03-10 07:30:00")


def test_the_warehouse_type_of_each_source_type(pair: Pair) -> None:
    _create(pair)
    pair.sync()
    kinds = {name: kind for name, kind, *_ in pair.raw("describe dvd_rental.copied")}
    assert {kind: kinds[name] for name, kind in COLUMNS.items()} == {
        kind: TYPED.get(kind, "VARCHAR") for kind in EXAMPLES
    }


@pytest.mark.parametrize("way", ["copied", "streamed"])
def test_unrepresentable_values_are_null_and_noted(pair: Pair, way: str) -> None:
    table = "create table t (id int primary key, a numeric(5,2), b timestamp, c timestamptz, d int[])"
    values = (
        "insert into t values (1, 'NaN', '294276-12-31', '294276-12-31', '{{1,2},{3,4}}'),"
        " (2, 1, 'infinity', null, '{1}')"
    )
    statements = [table, values]
    if way == "copied":
        pair.run(*statements)
        pair.replicator().sync()
    else:
        pair.run(table)
        pair.replicator().sync()
        pair.run(values)
        pair.replicator().sync()
    unrepresentable, representable = pair.raw("select a, b, c, d, _airbyte_meta from dvd_rental.t order by id")
    assert unrepresentable[:4] == (None, None, None, None)
    assert json.loads(unrepresentable[4])["changes"] == [
        {"field": name, "change": "NULLED", "reason": "DESTINATION_FIELD_SIZE_LIMITATION"} for name in "abcd"
    ]
    assert json.loads(representable[4])["changes"] == []


@pytest.mark.parametrize("way", ["copied", "streamed"])
def test_an_unrepresentable_key_stops_only_its_table(pair: Pair, way: str) -> None:
    pair.run("create table t (id numeric(4,1) primary key)", "create table u (id int primary key)")
    if way == "streamed":
        pair.sync()
    pair.run("insert into t values (1), ('NaN')", "insert into u values (1)")
    tables = pair.sync().tables
    assert "cannot represent" in (tables["t"].error or "")
    assert (tables["u"].error, tables["u"].rows) == (None, 1)
    pair.run("delete from t where id = 'NaN'")
    recovered = pair.sync_one()
    assert (recovered.error, recovered.mode, recovered.rows) == (None, "snapshot", 1)


ELEMENT = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)


@settings(max_examples=60)
@given(
    array=st.lists(ELEMENT, max_size=4)
    | st.lists(st.lists(ELEMENT, min_size=2, max_size=2), min_size=1, max_size=3)
)
def test_arrays_are_parsed_as_postgresql_parses_them(
    array: list[object], any_database: psycopg.Connection
) -> None:
    text, expected = any_database.execute(
        "select a::text, to_json(a) from (select %s::text[] as a) x", [array]
    ).fetchall()[0]
    assert json.loads(array_json(text)) == expected


@pytest.fixture(scope="module")
def any_database(postgres: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        yield connection


def test_only_types_that_keep_every_value_are_widenings() -> None:
    assert is_widening("DECIMAL(5,2)", "DECIMAL(7,2)")
    assert is_widening("DECIMAL(5,2)", "VARCHAR")
    assert not is_widening("DECIMAL(5,2)", "DECIMAL(7,3)")
    assert not is_widening("DECIMAL(7,2)", "DECIMAL(5,2)")
    assert not is_widening("INTEGER", "VARCHAR")
