"""Our decoder reads the same changes from the WAL as PostgreSQL's independent plugin `test_decoding`."""

import re
from collections.abc import Iterator, Mapping

import psycopg
import pytest

from dvd_rental_pipeline.ingestion.postgres_cdc.stream import pgoutput
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

pytestmark = pytest.mark.every_postgres

Row = dict[str, str | None]
# A kind, a table, and the old and the new values of its columns.
Event = tuple[str, str, Row, Row]

UNCHANGED = "unchanged-toast-datum"
COLUMN = re.compile(
    r"""("(?:[^"]|"")*"|[^\s\[]+)          # a name, quoted if need be
        \[((?:"[^"]*"|\[\]|[^\]\[])*)\]:   # its type
        ('(?:[^']|'')*'|[^\s]*)            # a value, quoted unless it is a number, a truth value or none
        [ ]?""",
    re.VERBOSE | re.DOTALL,
)
SCHEMA = (
    "create type mood as enum ('happy', 'it''s \"so\" so')",
    'create table "Odd ""name""" (id int primary key, "a b" text, mood mood, tags text[], at timestamptz,'
    " amount numeric(9, 2), free numeric, yes boolean, raw bytea, doc jsonb, ratio float8, big text)",
    'alter table "Odd ""name""" alter big set storage external',
    "create table pairs (a int, b text, note text, big text, primary key (a, b))",
    "alter table pairs alter big set storage external",
    "create table whole (id int primary key, note text)",
    "alter table whole replica identity full",
)
HISTORY = (
    'insert into "Odd ""name""" values (1, E\'it\'\'s [x]: "y"\\n☃\', \'it\'\'s "so" so\', \'{a,NULL,"b c"}\','
    " '2024-02-29 12:00+00', -1.50, 'NaN', true, '\\x00ff', '{\"a\": [1, null]}', '-Infinity',"
    " repeat('x', 9000))",
    'insert into "Odd ""name""" (id, "a b", yes) select n, \'\', n % 2 = 0 from generate_series(2, 60) n',
    'update "Odd ""name""" set "a b" = null where id = 1',
    'update "Odd ""name""" set big = repeat(\'z\', 9001), "a b" = \'new-tuple: id[integer]:7\' where id < 9',
    'update "Odd ""name""" set id = id + 100 where id < 5',
    "insert into pairs select n, 'b' || n, null, repeat('p', 8000) from generate_series(1, 20) n",
    "update pairs set b = b || '''', note = 'moved' where a % 3 = 0",
    "update pairs set note = 'same key' where a % 3 = 1",
    "insert into whole values (1, 'one'), (2, null)",
    "update whole set note = 'two' where id = 2",
    "delete from whole where id = 1",
    "delete from pairs where a > 15",
    "alter table pairs add extra int default 7",
    "insert into pairs values (99, 'x', 'y', null, null), (100, '', '', '', 1)",
    "alter table pairs drop note",
    "update pairs set extra = a",
    "truncate pairs, whole restart identity",
    'delete from "Odd ""name"""',
)


def test_our_decoder_agrees_with_test_decoding(pair: Pair) -> None:
    pair.run(*SCHEMA, f"create publication {pair.slot} for all tables")
    oracle_slot = f"{pair.slot}_oracle"
    try:
        pair.run(f"select pg_create_logical_replication_slot('{oracle_slot}', 'test_decoding')")
    except psycopg.errors.UndefinedFile:
        pytest.skip("this PostgreSQL has no test_decoding: Debian's postgresql package contains it")
    pair.run(f"select pg_create_logical_replication_slot('{pair.slot}', 'pgoutput')")
    pair.run(*HISTORY)
    pair.in_transaction(*HISTORY[:2], "savepoint s", HISTORY[2], "rollback to s", HISTORY[8])
    pair.run("begin", HISTORY[3], "rollback")
    expected = list(_decoded_by_test_decoding(pair, oracle_slot))
    assert list(_decoded_by_us(pair)) == expected
    assert len(expected) > 250


def _decoded_by_us(pair: Pair) -> Iterator[Event]:
    relations: dict[int, pgoutput.RelationMessage] = {}
    begun: Event | None = None
    for (data,) in pair.source.execute(
        "select data from pg_logical_slot_peek_binary_changes(%s, null, null, 'proto_version', '1',"
        " 'publication_names', %s)",
        [pair.slot, pair.slot],
    ):
        message = pgoutput.decode(data)
        if isinstance(message, pgoutput.RelationMessage):
            relations[message.oid] = message
        elif isinstance(message, pgoutput.Begin):
            begun = ("BEGIN", str(message.xid), {}, {})
        elif (event := _event(relations, message)) is not None:
            # PostgreSQL 14 also sends transactions without changed rows.
            if begun is not None:
                yield begun
            begun = None
            yield event


def _event(relations: Mapping[int, pgoutput.RelationMessage], message: pgoutput.Message | None) -> Event | None:
    match message:
        case pgoutput.Truncate():
            return ("TRUNCATE", ", ".join(_table(relations[oid]) for oid in message.oids), {}, {})
        case pgoutput.Insert():
            relation = relations[message.oid]
            return ("INSERT", _table(relation), {}, _row(relation, message.new))
        case pgoutput.Update():
            relation = relations[message.oid]
            old = _row(relation, message.old, is_old=True) if message.old is not None else {}
            return ("UPDATE", _table(relation), old, _row(relation, message.new))
        case pgoutput.Delete():
            relation = relations[message.oid]
            return ("DELETE", _table(relation), _row(relation, message.old, is_old=True), {})
        case _:
            return None


def _table(relation: pgoutput.RelationMessage) -> str:
    return f"{relation.schema}.{relation.name}"


def _row(relation: pgoutput.RelationMessage, values: list[pgoutput.Value], *, is_old: bool = False) -> Row:
    """Values by column; of an old row, with `is_old`, only non-null ones: it may contain its key alone."""
    row: Row = {}
    for column, value in zip(relation.columns, values, strict=True):
        if isinstance(value, bytes):
            text = value.decode()
            row[column.name] = {"t": "true", "f": "false"}[text] if column.type_oid == 16 else text
        elif value is pgoutput.UNCHANGED:
            row[column.name] = UNCHANGED
        elif not is_old:
            row[column.name] = None
    return row


def _decoded_by_test_decoding(pair: Pair, slot: str) -> Iterator[Event]:
    for (line,) in pair.source.execute(
        "select data from pg_logical_slot_peek_changes(%s, null, null, 'skip-empty-xacts', '1')", [slot]
    ):
        if line.startswith("BEGIN "):
            yield ("BEGIN", line.removeprefix("BEGIN "), {}, {})
        elif match := re.fullmatch(r"table (.*?): (INSERT|UPDATE|DELETE|TRUNCATE): (.*)", line, re.DOTALL):
            tables, kind, rest = match.groups()
            if kind == "TRUNCATE":
                yield (kind, _plain(tables), {}, {})
            elif kind == "UPDATE" and rest.startswith("old-key: "):
                old, position = _columns(rest, len("old-key: "))
                assert rest.startswith("new-tuple: ", position)
                yield (kind, _plain(tables), old, _columns(rest, position + len("new-tuple: "))[0])
            else:
                row, _ = _columns(rest, 0)
                yield (kind, _plain(tables), *((row, {}) if kind == "DELETE" else ({}, row)))


def _columns(text: str, position: int) -> tuple[Row, int]:
    row: Row = {}
    while match := COLUMN.match(text, position):
        name, _, value = match.groups()
        if value.startswith("'"):
            row[_plain(name)] = value[1:-1].replace("''", "'")
        else:
            row[_plain(name)] = None if value == "null" else value
        position = match.end()
    return row, position


def _plain(name: str) -> str:
    return re.sub(r'"((?:[^"]|"")*)"', lambda quoted: quoted[1].replace('""', '"'), name)
