"""What a PostgreSQL server needs so that Airbyte, or any reader of its log, captures the changes of a domain.

Looks at the server and says of each measure whether it is taken, and by which SQL it would be: `setup plan`
prints that, `setup apply` executes it, and `doctor` asks with the reader's own rights. All is idempotent.

The reader is a role of its own with the least rights: it may log in, read the log, select from the domain's
tables, and write one heartbeat row. It owns nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.sample.errors import SourceError

HEARTBEAT_SCHEMA = "replication"
HEARTBEAT_TABLE = "heartbeat"
HEARTBEAT_QUERY = (
    f"insert into {HEARTBEAT_SCHEMA}.{HEARTBEAT_TABLE} (id, beat_at) values (1, now())"
    " on conflict (id) do update set beat_at = excluded.beat_at"
)
"""Moves the log forward while the domain's tables rest, so that the slot can let go of what others wrote."""

_HIDDEN = "********"


@dataclass(frozen=True)
class Reader:
    """Who captures, and with what. `password` is None where it is not known, and then not looked at."""

    role: str
    slot: str
    publication: str
    password: str | None = None

    @classmethod
    def of_url(cls, url: str, slot: str) -> "Reader":
        """The reader that the URL names; the publication is called like the slot.

        Raises:
            SourceError: the URL names no user.
        """
        given = conninfo_to_dict(url)
        role = given.get("user")
        if not role:
            raise SourceError("DVD_RENTAL_SOURCE_URL names no user: the role that captures changes is needed.")
        password = given.get("password")
        return cls(str(role), slot, slot, str(password) if password else None)


@dataclass(frozen=True)
class SetupStep:
    """One thing that the server needs. `statements` take it; there are none where it is taken already.

    `by_hand` is what to do where SQL cannot: in the server's configuration.
    """

    subject: str
    found: str
    statements: tuple[sql.Composed, ...] = ()
    shown: tuple[str, ...] = ()
    manual_step: str | None = None

    @property
    def is_done(self) -> bool:
        return not self.statements and self.manual_step is None


def setup_steps(connection: psycopg.Connection, domain: Domain, reader: Reader) -> Sequence[SetupStep]:
    """Look at the server, and say what is there and what is missing, in the order in which it is to be done.

    Raises:
        psycopg.Error: the server refuses to tell.
    """
    return [
        *_parameters(connection),
        _role(connection, reader),
        _replication_right(connection, reader),
        _reading(connection, domain, reader),
        _heartbeat(connection, reader),
        _publication(connection, domain, reader),
        _slot(connection, reader),
    ]


def apply_steps(connection: psycopg.Connection, domain: Domain, reader: Reader) -> Sequence[SetupStep]:
    """Take every measure that SQL can take, and return those that were missing.

    Raises:
        SourceError: a table is missing, or the server refuses.
    """
    missing = [step for step in setup_steps(connection, domain, reader) if not step.is_done]
    for step in missing:
        try:
            for statement in step.statements:
                connection.execute(statement)
        except psycopg.Error as error:
            raise SourceError(
                f"{step.subject}: the server refused: {str(error).strip().splitlines()[0]}. Use the URL of "
                "the tables' owner who may create roles as DVD_RENTAL_SOURCE_ADMIN_URL (on Amazon RDS the "
                "master user). What was done before stays, and the same command goes on from there."
            ) from None
    return missing


def _step(subject: str, found: str, *statements: sql.Composed, secret: str | None = None) -> SetupStep:
    shown = [statement.as_string(None) for statement in statements]
    if secret is not None:
        shown = [text.replace(secret, _HIDDEN) for text in shown]
    return SetupStep(subject, found, statements, tuple(shown))


def _parameters(connection: psycopg.Connection) -> list[SetupStep]:
    """What stands in the server's configuration, or in a parameter group, and is never changed from here."""
    values: dict[str, str] = dict(
        connection.execute(
            "select name, setting from pg_settings where name = any(%s)",
            [["wal_level", "max_slot_wal_keep_size", "wal_sender_timeout", "max_replication_slots"]],
        ).fetchall()
    )
    slots = connection.execute("select count(*) from pg_replication_slots").fetchone()
    taken = slots[0] if slots else 0
    keep, timeout = int(values["max_slot_wal_keep_size"]), int(values["wal_sender_timeout"])
    total = int(values["max_replication_slots"])
    return [
        SetupStep(
            "wal_level",
            values["wal_level"],
            manual_step=None
            if values["wal_level"] == "logical"
            else "set wal_level = logical and restart the server; on Amazon RDS rds.logical_replication = 1 in "
            "the parameter group",
        ),
        SetupStep(
            "max_slot_wal_keep_size",
            "no limit: a reader that stands still fills the disk" if keep < 0 else f"{keep} MB",
            manual_step=None
            if keep >= 0
            else "set max_slot_wal_keep_size to a part of the free disk, e.g. 10240 (MB); on Amazon RDS in the "
            "parameter group",
        ),
        SetupStep(
            "wal_sender_timeout",
            "off" if timeout == 0 else f"{timeout / 1000:g} s",
            manual_step=None
            if timeout == 0 or timeout >= 60_000
            else "set wal_sender_timeout to a minute or more: a reader of a large transaction is long silent",
        ),
        SetupStep(
            "max_replication_slots",
            f"{taken} of {total} taken",
            manual_step=None
            if taken < total
            else "raise max_replication_slots, or drop a slot that nobody uses (pg_replication_slots)",
        ),
    ]


def _role(connection: psycopg.Connection, reader: Reader) -> SetupStep:
    role = sql.Identifier(reader.role)
    found = connection.execute(
        "select rolcanlogin, rolsuper from pg_roles where rolname = %s", [reader.role]
    ).fetchone()
    if found is None:
        # Hashed here: the statement may end up in the server's log.
        secret = (
            connection.pgconn.encrypt_password(
                reader.password.encode(), reader.role.encode(), b"scram-sha-256"
            ).decode()
            if reader.password is not None
            else None
        )
        with_password = sql.SQL(" password {}").format(sql.Literal(secret)) if secret else sql.SQL("")
        return _step(
            "role",
            f"there is no role {reader.role}",
            sql.SQL("create role {} login").format(role) + with_password,
            secret=secret,
        )
    if not found[0]:
        return _step("role", f"{reader.role} may not log in", sql.SQL("alter role {} login").format(role))
    return _step("role", f"{reader.role}{', a superuser' if found[1] else ''}")


def _replication_right(connection: psycopg.Connection, reader: Reader) -> SetupStep:
    row = connection.execute(
        """
        select
            exists (select from pg_roles where rolname = 'rds_replication'),
            exists (select from pg_roles where rolname = %(role)s and (rolreplication or rolsuper)),
            exists (
                select from pg_auth_members m
                join pg_roles granted on granted.oid = m.roleid and granted.rolname = 'rds_replication'
                join pg_roles member on member.oid = m.member and member.rolname = %(role)s
            )
        """,
        {"role": reader.role},
    ).fetchone()
    on_rds, itself, by_membership = row or (False, False, False)
    if itself or by_membership:
        return _step("replication right", f"{reader.role} may read the log")
    role = sql.Identifier(reader.role)
    return _step(
        "replication right",
        f"{reader.role} may not read the log",
        sql.SQL("grant rds_replication to {}" if on_rds else "alter role {} replication").format(role),
    )


def _reading(connection: psycopg.Connection, domain: Domain, reader: Reader) -> SetupStep:
    names = list(domain.primary_keys())
    rows = connection.execute(
        """
        select wanted.name, c.oid is not null, exists (
            select from pg_roles r where r.rolname = %(role)s
            and has_schema_privilege(r.oid, c.relnamespace, 'usage')
            and has_table_privilege(r.oid, c.oid, 'select')
        )
        from unnest(%(names)s::text[]) with ordinality as wanted(name, position)
        left join pg_class c on c.relname = wanted.name and c.relkind in ('r', 'p')
            and c.relnamespace = to_regnamespace(%(schema)s)
        order by wanted.position
        """,
        {"role": reader.role, "names": names, "schema": domain.source_schema},
    ).fetchall()
    absent = [name for name, there, _ in rows if not there]
    if absent:
        return SetupStep(
            "tables",
            f"missing in the schema {domain.source_schema}: {', '.join(absent)}",
            manual_step="create them, or take them out of the catalogue; is this the right database?",
        )
    closed = [name for name, _, readable in rows if not readable]
    if not closed:
        return _step("tables", f"{reader.role} may read all {len(names)}")
    role = sql.Identifier(reader.role)
    return _step(
        "tables",
        f"{reader.role} may not read {', '.join(closed)}",
        sql.SQL("grant usage on schema {} to {}").format(sql.Identifier(domain.source_schema), role),
        sql.SQL("grant select on {} to {}").format(_tables(domain.source_schema, closed), role),
    )


def _heartbeat(connection: psycopg.Connection, reader: Reader) -> SetupStep:
    row = connection.execute(
        """
        select to_regclass(%(table)s) is not null, exists (
            select from pg_roles r where r.rolname = %(role)s
            and has_schema_privilege(r.oid, to_regnamespace(%(schema)s)::oid, 'usage')
            and has_table_privilege(r.oid, to_regclass(%(table)s)::oid, 'select')
            and has_table_privilege(r.oid, to_regclass(%(table)s)::oid, 'insert')
            and has_table_privilege(r.oid, to_regclass(%(table)s)::oid, 'update')
        )
        """,
        {
            "role": reader.role,
            "schema": HEARTBEAT_SCHEMA,
            "table": f"{HEARTBEAT_SCHEMA}.{HEARTBEAT_TABLE}",
        },
    ).fetchone()
    there, writable = row or (False, False)
    if there and writable:
        return _step("heartbeat", f"{reader.role} may write {HEARTBEAT_SCHEMA}.{HEARTBEAT_TABLE}")
    schema, table = sql.Identifier(HEARTBEAT_SCHEMA), sql.Identifier(HEARTBEAT_SCHEMA, HEARTBEAT_TABLE)
    role = sql.Identifier(reader.role)
    create = (
        sql.SQL("create schema if not exists {}").format(schema),
        sql.SQL("create table if not exists {} (id integer primary key, beat_at timestamptz not null)").format(
            table
        ),
    )
    return _step(
        "heartbeat",
        f"{reader.role} may not write {HEARTBEAT_SCHEMA}.{HEARTBEAT_TABLE}" if there else "there is no table",
        *(() if there else create),
        sql.SQL("grant usage on schema {} to {}").format(schema, role),
        sql.SQL("grant select, insert, update on {} to {}").format(table, role),
    )


def _publication(connection: psycopg.Connection, domain: Domain, reader: Reader) -> SetupStep:
    name = sql.Identifier(reader.publication)
    wanted = {
        *((domain.source_schema, table) for table in domain.primary_keys()),
        (HEARTBEAT_SCHEMA, HEARTBEAT_TABLE),
    }
    found = connection.execute(
        "select puballtables, pubinsert and pubupdate and pubdelete and pubtruncate and pubviaroot"
        " from pg_publication where pubname = %s",
        [reader.publication],
    ).fetchone()
    if found is None:
        return _step(
            "publication",
            f"there is no publication {reader.publication}",
            sql.SQL("create publication {} for table {} with (publish_via_partition_root = true)").format(
                name, _all_tables(wanted)
            ),
        )
    for_all, whole = found
    if for_all:
        return SetupStep(
            "publication",
            f"{reader.publication} publishes all tables, also those without a key, whose updates then fail",
            manual_step=f"drop publication {reader.publication}, then set up again; the next sync copies anew",
        )
    has = {
        (schema, table)
        for schema, table in connection.execute(
            "select schemaname::text, tablename::text from pg_publication_tables where pubname = %s",
            [reader.publication],
        )
    }
    statements = []
    if not whole:
        statements.append(
            sql.SQL(
                "alter publication {} set (publish = 'insert, update, delete, truncate',"
                " publish_via_partition_root = true)"
            ).format(name)
        )
    if missing := wanted - has:
        statements.append(sql.SQL("alter publication {} add table {}").format(name, _all_tables(missing)))
    if surplus := has - wanted:
        statements.append(sql.SQL("alter publication {} drop table {}").format(name, _all_tables(surplus)))
    if not statements:
        return _step("publication", f"{reader.publication} has exactly the {len(wanted)} tables")
    parts = [
        *([] if whole else ["leaves out some kinds of changes"]),
        *([f"lacks {_listed(missing)}"] if missing else []),
        *([f"has {_listed(surplus)} too much"] if surplus else []),
    ]
    return _step("publication", f"{reader.publication} {', '.join(parts)}", *statements)


def _slot(connection: psycopg.Connection, reader: Reader) -> SetupStep:
    found = connection.execute(
        """
        select plugin::text, database::text, database = current_database(), wal_status, active,
            coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint
        from pg_replication_slots where slot_name = %s
        """,
        [reader.slot],
    ).fetchone()
    if found is None:
        return _step(
            "slot",
            f"there is no slot {reader.slot}",
            sql.SQL("select pg_create_logical_replication_slot({}, 'pgoutput')").format(
                sql.Literal(reader.slot)
            ),
        )
    plugin, database, here, wal_status, active, lag = found
    if plugin != "pgoutput" or not here:
        return SetupStep(
            "slot",
            f"{reader.slot} belongs to something else ({plugin}, database {database})",
            manual_step="choose another name, DVD_RENTAL_REPLICATION_SLOT",
        )
    state = f"{reader.slot} holds back {lag / 1e6:.1f} MB of log, status {wal_status}"
    if wal_status == "lost":
        return _step(
            "slot",
            f"{state}: its changes are gone; a full refresh in Airbyte must follow",
            sql.SQL("select pg_drop_replication_slot({})").format(sql.Literal(reader.slot)),
            sql.SQL("select pg_create_logical_replication_slot({}, 'pgoutput')").format(
                sql.Literal(reader.slot)
            ),
        )
    if wal_status == "unreserved":
        return SetupStep(
            "slot", f"{state}: about to be lost", manual_step="sync now, and raise max_slot_wal_keep_size"
        )
    return _step("slot", f"{state}{', in use' if active else ''}")


def _tables(schema: str, names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(schema, name) for name in names)


def _all_tables(tables: set[tuple[str, str]]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(*table) for table in sorted(tables))


def _listed(tables: set[tuple[str, str]]) -> str:
    return ", ".join(".".join(table) for table in sorted(tables))
