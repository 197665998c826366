"""A setup step of a source server, and the role for which a server is set up."""

from dataclasses import dataclass
from typing import Self

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from dvd_rental_pipeline.sample.errors import SourceError

_HIDDEN = "********"


@dataclass(frozen=True)
class CaptureRole:
    """The role that captures changes, with its slot and publication. `password` is None if it is not known.

    It has the least privileges: it may log in, read the WAL, select from the domain's tables, and write the
    heartbeat. It owns nothing.
    """

    role: str
    slot: str
    publication: str
    password: str | None = None

    @classmethod
    def of_url(cls, url: str, slot: str) -> Self:
        """The role in `url`; the publication has the slot's name.

        Raises:
            SourceError: the URL names no user.
        """
        given = conninfo_to_dict(url)
        role = given.get("user")
        if not role:
            raise SourceError("DVD_RENTAL_SOURCE_URL has no user: it must name the role that captures changes.")
        password = given.get("password")
        return cls(str(role), slot, slot, str(password) if password else None)


@dataclass(frozen=True)
class SetupStep:
    """One requirement of the server.

    Attributes:
        subject: what the step is about.
        found: the present state.
        statements: what fulfils the requirement; empty if it is fulfilled.
        shown: the statements as text, without secrets.
        manual_step: what to do where SQL cannot help, such as in the server's configuration.
    """

    subject: str
    found: str
    statements: tuple[sql.Composed, ...] = ()
    shown: tuple[str, ...] = ()
    manual_step: str | None = None

    @property
    def is_done(self) -> bool:
        return not self.statements and self.manual_step is None


def sql_step(subject: str, found: str, *statements: sql.Composed, secret: str | None = None) -> SetupStep:
    """A step that `statements` fulfil; `secret` is masked where they are shown."""
    shown = [statement.as_string(None) for statement in statements]
    if secret is not None:
        shown = [text.replace(secret, _HIDDEN) for text in shown]
    return SetupStep(subject, found, statements, tuple(shown))
