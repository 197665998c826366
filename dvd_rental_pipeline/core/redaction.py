"""Removes secrets from text that other programs wrote: error messages of servers and drivers."""

from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` with `MASK` instead of each of `secrets`, in every form in which a program may quote it.

    As it is, percent-encoded in a URL, and escaped in a connection string, as a SQL or JSON string.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    # The longest first: a short form may be a part of a long one.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def _forms(secret: str) -> Iterable[str]:
    escaped = secret.replace("\\", "\\\\")
    yield secret
    for safe in ("", "/", "!$&'()*+,;=:@"):
        encoded = quote(secret, safe=safe)
        yield encoded
        yield encoded.replace("%", "%%")
    yield quote_plus(secret)
    yield escaped.replace("'", "\\'")
    yield escaped.replace('"', '\\"')
    yield secret.replace("'", "''")
