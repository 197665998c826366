"""The SQL of a role that reads the tables of a domain, and nothing else."""

from collections.abc import Sequence

from psycopg import sql

from dvd_rental_pipeline.core.catalog import Domain


def reader_role_sql(domain: Domain, database: str, role: str) -> Sequence[str]:
    """Statements for the owner of the tables, in order, without semicolons. The role has no password yet."""
    name = sql.Identifier(role)
    tables = sql.SQL(", ").join(sql.Identifier(domain.source_schema, table.name) for table in domain.tables)
    statements = (
        sql.SQL("create role {} login").format(name),
        sql.SQL("grant connect on database {} to {}").format(sql.Identifier(database), name),
        sql.SQL("grant usage on schema {} to {}").format(sql.Identifier(domain.source_schema), name),
        sql.SQL("grant select on {} to {}").format(tables, name),
        # Since when other sessions' transactions are open: a late commit is not missed.
        sql.SQL("grant pg_read_all_stats to {}").format(name),
    )
    return [statement.as_string(None) for statement in statements]
