"""Checks of a statement's syntax tree before it is sent to Snowflake: does it only read, is it DDL?"""

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from dvd_rental_pipeline.warehouse.errors import WarehouseError

_READING = (exp.Query, exp.Describe, exp.Show)
_WRITING = (exp.DML, exp.DDL, exp.Into, exp.Command, exp.Drop, exp.Alter, exp.Use, exp.Set)
_TRANSACTIONAL = (exp.Query, exp.Insert, exp.Update, exp.Delete, exp.Merge)


def require_read_only(sql: str) -> None:
    """Accept one statement that only reads: SELECT, WITH, SHOW or DESCRIBE.

    Raises:
        WarehouseError: it is any other statement, or it cannot be parsed.
    """
    statement = _parse_one(sql)
    # SHOW has more forms than the parser knows; the keyword alone shows that it reads.
    if isinstance(statement, exp.Command) and str(statement.this).upper() == "SHOW":
        return
    reads = isinstance(statement, _READING) and not isinstance(statement, exp.DML)
    if reads and (nested := next(statement.find_all(*_WRITING), None)) is not None:
        reads = isinstance(nested, exp.Query) and not isinstance(nested, exp.Into)
    has_effect = any(_has_effect(call) for call in statement.find_all(exp.Func))
    if not reads or has_effect:
        raise WarehouseError(
            "The warehouse rejected the statement: only SELECT, WITH, SHOW and DESCRIBE are accepted."
        )


def require_transactional(sql: str) -> None:
    """Accept one statement that does not commit the open transaction: a query or DML.

    Raises:
        WarehouseError: it is any other statement, or it cannot be parsed.
    """
    if not isinstance(_parse_one(sql), _TRANSACTIONAL):
        raise WarehouseError(
            "The warehouse rejected the statement: Snowflake would commit the transaction before it. A "
            "transaction accepts queries, INSERT, UPDATE, DELETE and MERGE."
        )


def _parse_one(sql: str) -> exp.Expr:
    try:
        statements = [each for each in sqlglot.parse(sql, dialect="snowflake") if each is not None]
        is_chained = any(token.text == "->>" for token in sqlglot.tokenize(sql, dialect="snowflake"))
    except SqlglotError as error:
        raise WarehouseError(f"The warehouse rejected the statement: it cannot be parsed.\n{error}") from None
    if len(statements) != 1 or is_chained:
        raise WarehouseError("The warehouse rejected the statement: give one statement at a time.")
    return statements[0]


def _has_effect(call: exp.Func) -> bool:
    """Whether a function acts on the account: cancels queries, ends sessions."""
    name = call.name if isinstance(call, exp.Anonymous) else call.sql_name()
    return name.upper().startswith("SYSTEM$")
