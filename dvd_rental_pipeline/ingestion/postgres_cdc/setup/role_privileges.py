"""The capture role and its privileges: log in, replication, select on the tables, write the heartbeat."""

import psycopg
from psycopg import sql

from dvd_rental_pipeline.core.catalog import Domain
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.heartbeat import HEARTBEAT_SCHEMA, HEARTBEAT_TABLE
from dvd_rental_pipeline.ingestion.postgres_cdc.connect.text_forms import quoted
from dvd_rental_pipeline.ingestion.postgres_cdc.setup.step import CaptureRole, SetupStep, sql_step


def role_step(connection: psycopg.Connection, reader: CaptureRole) -> SetupStep:
    """Whether the role exists, and may log in."""
    role = sql.Identifier(reader.role)
    found = connection.execute(
        "select rolcanlogin, rolsuper from pg_roles where rolname = %s", [reader.role]
    ).fetchone()
    if found is None:
        # Hashed here, because the statement may end up in the server's log file.
        secret = (
            connection.pgconn.encrypt_password(
                reader.password.encode(), reader.role.encode(), b"scram-sha-256"
            ).decode()
            if reader.password is not None
            else None
        )
        with_password = sql.SQL(" password {}").format(sql.Literal(secret)) if secret else sql.SQL("")
        return sql_step(
            "role",
            f"the role {reader.role} does not exist",
            sql.SQL("create role {} login").format(role) + with_password,
            secret=secret,
        )
    can_login, is_superuser = found
    if not can_login:
        return sql_step("role", f"{reader.role} may not log in", sql.SQL("alter role {} login").format(role))
    return sql_step("role", f"{reader.role}{', a superuser' if is_superuser else ''}")


def replication_step(connection: psycopg.Connection, reader: CaptureRole) -> SetupStep:
    """Whether the role may use replication: by its own attribute, or on Amazon RDS by a membership."""
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
    on_rds, by_attribute, by_membership = row or (False, False, False)
    if by_attribute or by_membership:
        return sql_step("replication right", f"{reader.role} may read the WAL")
    return sql_step(
        "replication right",
        f"{reader.role} may not read the WAL",
        sql.SQL("grant rds_replication to {}" if on_rds else "alter role {} replication").format(
            sql.Identifier(reader.role)
        ),
    )


def select_step(connection: psycopg.Connection, domain: Domain, reader: CaptureRole) -> SetupStep:
    """Whether the domain's tables exist, and the role may read them."""
    names = list(domain.primary_keys())
    rows = connection.execute(
        """
        select declared.name, c.oid is not null, exists (
            select from pg_roles r where r.rolname = %(role)s
            and has_schema_privilege(r.oid, c.relnamespace, 'usage')
            and has_table_privilege(r.oid, c.oid, 'select')
        )
        from unnest(%(names)s::text[]) with ordinality as declared(name, position)
        left join pg_class c on c.relname = declared.name and c.relkind in ('r', 'p')
            and c.relnamespace = (select oid from pg_namespace where nspname = %(schema)s)
        order by declared.position
        """,
        {"role": reader.role, "names": names, "schema": domain.source_schema},
    ).fetchall()
    missing = [name for name, exists, _ in rows if not exists]
    if missing:
        return SetupStep(
            "tables",
            f"missing in the schema {domain.source_schema}: {', '.join(missing)}",
            manual_step="create them, or remove them from the catalogue; is this the right database?",
        )
    unreadable = [name for name, _, readable in rows if not readable]
    if not unreadable:
        return sql_step("tables", f"{reader.role} may read all {len(names)}")
    role = sql.Identifier(reader.role)
    tables = sql.SQL(", ").join(sql.Identifier(domain.source_schema, name) for name in unreadable)
    return sql_step(
        "tables",
        f"{reader.role} may not read {', '.join(unreadable)}",
        sql.SQL("grant usage on schema {} to {}").format(sql.Identifier(domain.source_schema), role),
        sql.SQL("grant select on {} to {}").format(tables, role),
    )


def heartbeat_step(connection: psycopg.Connection, reader: CaptureRole) -> SetupStep:
    """Whether the heartbeat table exists, and the role may write it."""
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
            "schema": quoted(HEARTBEAT_SCHEMA),
            "table": quoted(HEARTBEAT_SCHEMA, HEARTBEAT_TABLE),
        },
    ).fetchone()
    exists, writable = row or (False, False)
    if exists and writable:
        return sql_step("heartbeat", f"{reader.role} may write {HEARTBEAT_SCHEMA}.{HEARTBEAT_TABLE}")
    schema, table = sql.Identifier(HEARTBEAT_SCHEMA), sql.Identifier(HEARTBEAT_SCHEMA, HEARTBEAT_TABLE)
    role = sql.Identifier(reader.role)
    create = (
        sql.SQL("create schema if not exists {}").format(schema),
        sql.SQL("create table if not exists {} (id integer primary key, beat_at timestamptz not null)").format(
            table
        ),
    )
    return sql_step(
        "heartbeat",
        f"{reader.role} may not write {HEARTBEAT_SCHEMA}.{HEARTBEAT_TABLE}"
        if exists
        else f"the table {HEARTBEAT_SCHEMA}.{HEARTBEAT_TABLE} does not exist",
        *(() if exists else create),
        sql.SQL("grant usage on schema {} to {}").format(schema, role),
        sql.SQL("grant select, insert, update on {} to {}").format(table, role),
    )
