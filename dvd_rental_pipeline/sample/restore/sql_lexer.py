"""Where statements of a SQL script begin and end: quotes, comments and semicolons, line by line."""

import re

_BLANK_OR_COMMENT = re.compile(rb"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_NORMAL = re.compile(rb"--|/\*|'|\"|;|\\|(?<![\w$\x80-\xff])\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$")
_COMMENT = re.compile(rb"/\*|\*/")
_ESCAPE_STRING = re.compile(rb"\\.|'", re.DOTALL)
_ESCAPE_PREFIX = re.compile(rb"(?<![\w$\x80-\xff])[eE]$")


class PsqlCommandError(Exception):
    """A psql command (a backslash outside of quotes) begins at `position` of the text."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


class StatementLexer:
    """Follows a script over its lines. A quote, a comment and a statement may each extend over several lines.

    `standard_strings` is the setting `standard_conforming_strings`: whether a backslash in '...' is literal.
    """

    def __init__(self) -> None:
        self.standard_strings = True
        self._quote: bytes | None = None  # what ends the open quote
        self._escapes = False  # whether the open quote is an escape string, E'...'
        self._comment_depth = 0
        self._in_statement = False

    @property
    def is_between_statements(self) -> bool:
        """Whether no statement, quote or comment is open."""
        return not self._in_statement and self._quote is None and self._comment_depth == 0

    @property
    def is_complete(self) -> bool:
        """Whether no quote or comment is open. The last statement may lack its semicolon."""
        return self._quote is None and self._comment_depth == 0

    def skip_statement(self, text: bytes) -> int | None:
        """Read `text` up to the end of the first statement that ends in it; return the position after it.

        None if the statement continues after `text`, which was then read completely.

        Raises:
            PsqlCommandError: the text contains a psql command.
        """
        position = 0
        while position < len(text):
            if self._comment_depth:
                position = self._read_comment(text, position)
            elif self._quote is not None:
                position = self._read_quote(text, position)
            else:
                token = _NORMAL.search(text, position)
                between = text[position : token.start() if token else len(text)]
                self._in_statement |= bool(between.strip())
                if token is None:
                    return None
                position = token.end()
                if token.group() == b";":
                    self._in_statement = False
                    return position
                position = self._open(token, text)
        return None

    def _open(self, token: re.Match[bytes], text: bytes) -> int:
        """Begin the comment or quote of `token`; return the position after its beginning."""
        mark = token.group()
        if mark == b"\\":
            raise PsqlCommandError(token.start())
        if mark == b"--":
            end = text.find(b"\n", token.end())
            return len(text) if end < 0 else end + 1
        if mark == b"/*":
            self._comment_depth = 1
            return token.end()
        self._in_statement = True
        self._quote = mark
        self._escapes = mark == b"'" and (
            not self.standard_strings or _ESCAPE_PREFIX.search(text, 0, token.start()) is not None
        )
        return token.end()

    def _read_comment(self, text: bytes, position: int) -> int:
        token = _COMMENT.search(text, position)
        if token is None:
            return len(text)
        self._comment_depth += 1 if token.group() == b"/*" else -1
        return token.end()

    def _read_quote(self, text: bytes, position: int) -> int:
        quote = self._quote
        if quote is None:
            return position
        if self._escapes:
            token = _ESCAPE_STRING.search(text, position)
            if token is None:
                return len(text)
            if token.group() == quote:
                self._quote = None
            return token.end()
        # A doubled quote ends one string and begins the next: the same for what is looked for here.
        end = text.find(quote, position)
        if end < 0:
            return len(text)
        self._quote = None
        return end + len(quote)


def first_words(text: bytes) -> bytes:
    """`text` without the blanks and comments that it begins with."""
    match = _BLANK_OR_COMMENT.match(text)
    return text[match.end() :] if match else text
