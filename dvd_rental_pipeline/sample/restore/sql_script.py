"""Filter the statements of a plain SQL dump.

Statements that affect other databases are left out, as are ownership and privileges, which refer to roles of
the dumped server.
"""

import re
from collections.abc import Iterable, Iterator

from dvd_rental_pipeline.sample.errors import SourceError

_COPY = re.compile(rb"copy\s.*\sfrom\s+stdin\b.*;\s*$", re.IGNORECASE)
_COPY_END = b"\\."
_DOLLAR_QUOTE = re.compile(rb"\$(?:[A-Za-z_][A-Za-z_0-9]*)?\$")

# pg_dump writes each of these on a line of its own.
_IGNORED_STATEMENT = re.compile(
    rb"""
      (?: (?:create|drop|alter|comment\s+on|security\s+label.*on)\s+database\b
      | alter\s+.*\sowner\s+to\s
      | alter\s+default\s+privileges\b
      | grant\s | revoke\s
      | set\s+(?:local\s+|session\s+)?(?:role|session\s+authorization)\b
      | set\s+(?:transaction_timeout|default_with_oids)\b   # unknown to an older, or a newer, server
      | create\s+schema\s+public\s*;
      | (?:comment|security\s+label.*)\s+on\s+(?:schema\s+public|extension)\b
      ).*;\s*$
    """,
    re.IGNORECASE | re.VERBOSE,
)
_IGNORED_COMMAND = re.compile(rb"\\(?:c|connect|restrict|unrestrict|encoding)\b")
_HEADER = b"-- PostgreSQL database dump"
_TRAILER = b"-- PostgreSQL database dump complete"
_ROLES_DUMP = b"-- PostgreSQL database cluster dump"


def filter_statements(lines: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield the lines of the dump `name` to run in the database that it is restored to.

    Statements on databases, owners, privileges and roles are left out, as is `\\connect`. The data of COPY
    blocks and the bodies of functions are unchanged.

    Raises:
        SourceError: the dump contains other psql commands (`\\!`, `\\i`, ...), is of a whole server, or is
            truncated.
    """
    inside_copy = False
    quote: bytes | None = None
    header = trailer = False
    for number, line in enumerate(lines, start=1):
        if inside_copy:
            inside_copy = line.rstrip(b"\r\n") != _COPY_END
            yield line
            continue
        if quote is None:
            text = line.strip()
            if text == _ROLES_DUMP:
                raise SourceError(
                    f"{name} is a dump of a whole server (pg_dumpall), which may contain other databases and "
                    "roles. Restore a pg_dump of the one database."
                )
            header |= text == _HEADER
            trailer |= text == _TRAILER
            if text.startswith(b"\\"):
                if _IGNORED_COMMAND.match(text):
                    continue
                command = text[:40].decode(errors="replace")
                raise SourceError(
                    f"Line {number} of {name} is a psql command, {command!r}, that "
                    "may affect more than the database. Remove it, or dump in the custom format (pg_dump -Fc)."
                )
            if _IGNORED_STATEMENT.match(text):
                continue
            inside_copy = _COPY.match(text) is not None
        quote = _quote_after(line, quote)
        yield line
    if inside_copy or quote is not None or (header and not trailer):
        raise SourceError(f"{name} is truncated: its end is missing. Download or copy it again.")


def _quote_after(line: bytes, quote: bytes | None) -> bytes | None:
    """Return the dollar quote that is open after `line`, given the one that was open before it."""
    if quote is None and line.lstrip().startswith(b"--"):
        return None
    for tag in _DOLLAR_QUOTE.findall(line):
        if quote is None:
            quote = tag
        elif tag == quote:
            quote = None
    return quote
