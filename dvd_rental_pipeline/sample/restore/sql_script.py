"""Filter the statements of a plain SQL dump.

Statements that affect other databases are left out, as are ownership and privileges, which refer to roles of
the dumped server, and objects that need what this server does not have: extensions, policies, publications.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from dvd_rental_pipeline.sample.errors import SourceError
from dvd_rental_pipeline.sample.restore.sql_lexer import PsqlCommandError, StatementLexer, first_words

_COPY = re.compile(rb"copy\s.*\sfrom\s+stdin\b.*;\s*$", re.IGNORECASE | re.DOTALL)
_COPY_END = b"\\."
_CREATE_TABLE = re.compile(rb"create\s+(?:unlogged\s+)?table\s", re.IGNORECASE)
_NAME = rb'((?:"(?:[^"]|"")+"|[\w$\x80-\xff]+)(?:\.(?:"(?:[^"]|"")+"|[\w$\x80-\xff]+))*)'
_IF_EXISTS = rb"(?:if\s+(?:not\s+)?exists\s+)?"
_DEFINE = rb"(?:create|alter|drop|comment\s+on)\s+"
_ALTER_TABLE = rb"alter\s+(?:foreign\s+)?table\s+(?:only\s+)?" + _IF_EXISTS + _NAME


def _statement(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


_IGNORED = (
    _statement(_DEFINE + rb"database\b"),
    _statement(rb"alter\s[^;]*\sowner\s+to\s"),
    _statement(rb"set\s+(?:local\s+|session\s+)?(?:role|session\s+authorization)\b"),
    # Unknown to an older, or a newer, server.
    _statement(rb"set\s+(?:transaction_timeout|default_with_oids|default_table_access_method)\b"),
    _statement(
        rb"(?:create|drop)\s+schema\s+" + _IF_EXISTS + rb'"?public"?\s*(?:;|cascade|restrict|authorization)'
    ),
    _statement(rb"comment\s+on\s+schema\s+\"?public\"?\s"),
    _statement(rb"reset\s+(?:role|session\s+authorization)\b"),
    _statement(rb"set\s+default_tablespace\s*=\s*''"),
    # Only a superuser may. The first includes foreign keys, which do not act on a dump of rows anyway.
    _statement(_ALTER_TABLE + rb"\s+(?:enable|disable)\s+trigger\s+all\b"),
    _statement(rb"comment\s+on\s+(?:procedural\s+)?language\s"),
)
"""Left out without a word: every dump has some of them."""
_LEFT_OUT = (
    ("extension", _statement(_DEFINE + rb"extension\s+" + _IF_EXISTS + _NAME)),
    ("policy", _statement(_DEFINE + rb"policy\s+" + _IF_EXISTS + _NAME)),
    (
        "row-level security of",
        _statement(_ALTER_TABLE + rb"\s+(?:no\s+force|force|enable|disable)\s+row\s+level\s+security"),
    ),
    ("event trigger", _statement(_DEFINE + rb"event\s+trigger\s+" + _IF_EXISTS + _NAME)),
    ("publication", _statement(_DEFINE + rb"publication\s+" + _IF_EXISTS + _NAME)),
    ("subscription", _statement(_DEFINE + rb"subscription\s+" + _IF_EXISTS + _NAME)),
    ("foreign data wrapper", _statement(_DEFINE + rb"foreign\s+data\s+wrapper\s+" + _IF_EXISTS + _NAME)),
    ("foreign server", _statement(_DEFINE + rb"server\s+" + _IF_EXISTS + _NAME)),
    ("foreign table", _statement(_DEFINE + rb"foreign\s+table\s+" + _IF_EXISTS + _NAME)),
    (
        "user mapping of",
        _statement(rb"(?:create|alter|drop)\s+user\s+mapping\s+" + _IF_EXISTS + rb"for\s+" + _NAME),
    ),
    ("role", _statement(_DEFINE + rb"(?:role|user|group)\s+" + _IF_EXISTS + _NAME)),
    ("tablespace", _statement(_DEFINE + rb"tablespace\s+" + _IF_EXISTS + _NAME)),
    ("tablespace", _statement(rb"set\s+default_tablespace\s*=\s*'?" + _NAME)),
    (
        "tablespace",
        _statement(
            rb"alter\s+(?:table|index|materialized\s+view)\s+(?:only\s+)?"
            + _IF_EXISTS
            + rb"\S+\s+set\s+tablespace\s+"
            + _NAME
        ),
    ),
    ("security label by", _statement(rb"security\s+label\s+for\s+" + _NAME)),
    ("security label on", _statement(rb"security\s+label\s+on\s+\w+\s+" + _NAME)),
    (
        "default privileges of",
        _statement(rb"alter\s+default\s+privileges\s+for\s+(?:role|user)\s+" + _NAME),
    ),
    ("default privileges in", _statement(rb"alter\s+default\s+privileges\s+(?:in\s+schema\s+)?" + _NAME)),
    (
        "privileges of",
        _statement(rb"(?:grant|revoke)\s[^;]*\s(?:to|from)\s+(?:group\s+)?" + _NAME + rb""),
    ),
    ("privileges", _statement(rb"(?:grant|revoke|alter\s+default\s+privileges)\s")),
    ("security labels", _statement(rb"security\s+label\s")),
)
"""Left out and named: a kind, and the pattern whose group is the name."""
_EVERY_DUMP = {("privileges of", "public"), ("privileges of", "postgres")}
_STRINGS_SETTING = _statement(rb"set\s+standard_conforming_strings\s*(?:=|to)\s*'?(on|off)\b")
_IGNORED_COMMAND = re.compile(rb"\\(?:c|connect|restrict|unrestrict|encoding|echo|qecho|warn)\b")
# pg_dump --clean begins by dropping what is not in a new database. Views that it must not drop are replaced by
# placeholders, whose types do not exist yet.
_CLEAN = _statement(rb"drop\s|alter\s[^;]*\sdrop\s|create\s+or\s+replace\s+view\s")
_FIRST_OBJECT = _statement(rb"--\s+Name:|create\s+(?!or\s+replace\s+view\s)|copy\s|insert\s")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEADER = b"-- PostgreSQL database dump"
_TRAILER = b"-- PostgreSQL database dump complete"
_ROLES_DUMP = b"-- PostgreSQL database cluster dump"


@dataclass
class ScriptContent:
    """What a script was seen to contain, once it is read.

    Attributes:
        left_out: the objects that were left out, such as `policy p`, in their order.
        creates_tables: whether it creates a table.
    """

    left_out: dict[str, None] = field(default_factory=dict)
    creates_tables: bool = False


def filter_statements(
    lines: Iterable[bytes], name: str, extensions: Collection[str], content: ScriptContent
) -> Iterator[bytes]:
    """Yield the lines of the dump `name` to run in the database that it is restored to; fill `content`.

    Statements on databases, owners, privileges and roles are left out, as is `\\connect`, and what a server
    with only `extensions` does not have. The data of COPY blocks, texts and bodies of functions are unchanged.

    Raises:
        SourceError: the dump contains other psql commands (`\\!`, `\\i`, ...), is of a whole server, or is
            truncated.
    """
    lexer = StatementLexer()
    inside_copy = is_skipping = False
    header = trailer = False
    is_clean_section = True
    for number, line in enumerate(lines, start=1):
        if inside_copy:
            inside_copy = line.rstrip(b"\r\n") != _COPY_END
            yield line
            continue
        rest = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
        while rest:
            if lexer.is_between_statements:
                text = rest.strip()
                header |= text == _HEADER
                trailer |= text == _TRAILER
                if text == _ROLES_DUMP:
                    raise SourceError(
                        f"{name} is a dump of a whole server (pg_dumpall), which may contain other databases "
                        "and roles. Restore a pg_dump of the one database."
                    )
                if text.startswith(b"\\"):
                    if not _IGNORED_COMMAND.match(text):
                        raise _psql_command(text, number, name)
                    break
                setting = _STRINGS_SETTING.match(text)
                if setting is not None:
                    lexer.standard_strings = setting.group(1).lower() == b"on"
                statement = first_words(rest)
                is_clean_section &= not _FIRST_OBJECT.match(statement or text)
                is_skipping = _is_left_out(statement, extensions, content) or (
                    is_clean_section and _CLEAN.match(statement) is not None
                )
                inside_copy |= _COPY.match(text) is not None
            try:
                end = lexer.skip_statement(rest)
            except PsqlCommandError as error:
                raise _psql_command(rest[error.position :], number, name) from None
            if not is_skipping:
                yield rest[:end]
            rest = b"" if end is None else rest[end:]
            if end is not None:
                is_skipping = False
    if inside_copy or not lexer.is_complete or (header and not trailer):
        raise SourceError(f"{name} is truncated: its end is missing. Download or copy it again.")


def _psql_command(command: bytes, number: int, name: str) -> SourceError:
    shown = command.strip()[:40].decode(errors="replace")
    return SourceError(
        f"Line {number} of {name} is a psql command, {shown!r}, that may affect more than the database. Remove "
        "it, or dump in the custom format (pg_dump -Fc)."
    )


def _is_left_out(statement: bytes, extensions: Collection[str], content: ScriptContent) -> bool:
    """Whether the statement that begins with `statement`, a line, is to be left out; records what it is."""
    content.creates_tables |= _CREATE_TABLE.match(statement) is not None
    if any(pattern.match(statement) for pattern in _IGNORED):
        return True
    for kind, pattern in _LEFT_OUT:
        match = pattern.match(statement)
        if match is None:
            continue
        name = match.group(1).decode(errors="replace").replace('"', "") if match.lastindex else ""
        if kind == "extension" and name in extensions:
            # A comment on an extension needs its owner.
            return statement[:7].lower() == b"comment"
        if (kind, name.lower()) not in _EVERY_DUMP:
            content.left_out[f"{kind} {name}".strip()] = None
        return True
    return False
