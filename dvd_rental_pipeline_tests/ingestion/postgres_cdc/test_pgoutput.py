"""Messages are decoded as PostgreSQL's manual defines them ("Logical Replication Message Formats")."""

import struct
from datetime import UTC, datetime

import psycopg
import pytest

from dvd_rental_pipeline.ingestion.postgres_cdc.stream.pgoutput import (
    UNCHANGED,
    Begin,
    Commit,
    Delete,
    Insert,
    RelationColumn,
    RelationMessage,
    Truncate,
    Update,
    decode,
)
from dvd_rental_pipeline_tests.ingestion.postgres_cdc.pair import Pair

ROW = b"\x00\x03" + b"t\x00\x00\x00\x02ab" + b"n" + b"u"
KEY = b"\x00\x03" + b"t\x00\x00\x00\x01a" + b"n" + b"n"
OID = b"\x00\x00\x40\x01"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"B" + struct.pack("!QqI", 7, 86_400_000_001, 9),
            Begin(7, datetime(2000, 1, 2, 0, 0, 0, 1, tzinfo=UTC), 9),
        ),
        (b"C" + struct.pack("!BQQq", 0, 7, 8, 0), Commit(7, 8)),
        (
            b"R" + OID + b"public\0t\0d\x00\x01" + b"\x01\xc3\xa9\0" + struct.pack("!Ii", 23, -1),
            RelationMessage(0x4001, "public", "t", (RelationColumn("é", 23, -1, True),)),
        ),
        (b"I" + OID + b"N" + ROW, Insert(0x4001, [b"ab", None, UNCHANGED])),
        (b"U" + OID + b"N" + ROW, Update(0x4001, None, [b"ab", None, UNCHANGED], True)),
        (b"U" + OID + b"K" + KEY + b"N" + KEY, Update(0x4001, [b"a", None, None], [b"a", None, None], False)),
        (b"D" + OID + b"K" + KEY, Delete(0x4001, [b"a", None, None])),
        (b"T" + struct.pack("!IB", 2, 1) + OID + b"\0\0\0\x05", Truncate((0x4001, 5))),
        (b"O" + bytes(8) + b"origin\0", None),
        (b"Y" + OID + b"public\0mood\0", None),
        (b"M" + bytes(14), None),
    ],
)
def test_each_kind_of_message(data: bytes, message: object) -> None:
    assert decode(data) == message


@pytest.mark.parametrize("data", [b"S" + bytes(5), b"I" + OID + b"N" + b"\x00\x01" + b"b\x00\x00\x00\x00"])
def test_unknown_messages_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="unknown"):
        decode(data)


def test_a_transaction_of_the_server(pair: Pair) -> None:
    pair.run(
        "create table t (id int primary key, a text)",
        f"create publication {pair.slot} for table t",
        f"select pg_create_logical_replication_slot('{pair.slot}', 'pgoutput')",
    )
    pair.in_transaction("insert into t values (1, 'x')", "update t set id = 2", "delete from t")
    with psycopg.connect(pair.url) as connection:
        cursor = connection.cursor(binary=True)
        found = cursor.execute(
            "select data from pg_logical_slot_peek_binary_changes(%s, null, null, 'proto_version', '1',"
            " 'publication_names', %s)",
            [pair.slot, pair.slot],
        ).fetchall()
    begin, relation, insert, update, delete, commit = (decode(data) for (data,) in found)
    assert isinstance(begin, Begin)
    assert isinstance(relation, RelationMessage)
    assert isinstance(commit, Commit)
    assert [column.name for column in relation.columns if column.in_key] == ["id"]
    assert insert == Insert(relation.oid, [b"1", b"x"])
    assert update == Update(relation.oid, [b"1", None], [b"2", b"x"], False)
    assert delete == Delete(relation.oid, [b"2", None])
    assert begin.commit_lsn == commit.commit_lsn < commit.end_lsn
    assert abs((datetime.now(UTC) - begin.time).total_seconds()) < 60
