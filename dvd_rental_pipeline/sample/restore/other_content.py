"""What a file is that is not a PostgreSQL dump, and what to give instead."""

import re

_TEXT_LENGTH = 4096
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MIN_UTF16_BYTES = 16
_MYSQL = re.compile(
    rb"^-- (?:mysql|mariadb) dump|^-- phpmyadmin sql dump|\bengine\s*=\s*(?:innodb|myisam)\b"
    rb"|create table (?:if not exists )?`",
    re.IGNORECASE | re.MULTILINE,
)
_BINARY_FORMATS = {
    b"SQLite format 3\0": "is an SQLite database. Restore a dump of the PostgreSQL database",
    b"7z\xbc\xaf\x27\x1c": "is a 7-Zip archive. Unpack it, and give what it contains",
    b"Rar!\x1a\x07": "is a RAR archive. Unpack it, and give what it contains",
    b"\x28\xb5\x2f\xfd": "is compressed with Zstandard. Decompress it (`zstd -d`), and give the result",
    b"\x04\x22\x4d\x18": "is compressed with LZ4. Decompress it (`lz4 -d`), and give the result",
    b"%PDF": "is a PDF document. Give the dump itself",
}
NO_DUMP = (
    "is not a PostgreSQL dump. Supported are pg_dump's tar, custom, directory and plain SQL formats, also "
    "within a zip or tar, and compressed with gzip, bzip2 or xz"
)


def describe_other_content(start: bytes) -> str:
    """The predicate of a sentence about a file that starts with `start` and is no dump, and what to do."""
    if not start:
        return "is empty. Copy or download it again"
    for magic, description in _BINARY_FORMATS.items():
        if start.startswith(magic):
            return description
    if _is_utf16(start):
        return (
            "is UTF-16 text, which PowerShell's `>` writes. Let pg_dump write the file itself: "
            "`pg_dump --file=dump.sql`"
        )
    text = start[:_TEXT_LENGTH].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file itself. Fetch it with `git lfs pull`"
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return (
            "is a web page, not a dump: the download was answered by a page. Download the file itself (on "
            "GitHub: `Raw`)"
        )
    return NO_DUMP


def is_mysql(start: bytes) -> bool:
    """Whether a text that starts with `start` is a dump of MySQL or MariaDB."""
    return _MYSQL.search(start) is not None


MYSQL = (
    "is a dump of MySQL or MariaDB (Sakila), whose SQL PostgreSQL cannot run. Restore a dump of a PostgreSQL "
    "database, for example Pagila, the same schema for PostgreSQL"
)


def _is_utf16(start: bytes) -> bool:
    if start.startswith(_UTF16_MARKS):
        return True
    sample = start[: _TEXT_LENGTH // 2 * 2]
    # Every other byte of Latin text is zero.
    return len(sample) >= _MIN_UTF16_BYTES and any(
        sample[first::2].count(0) > len(sample[first::2]) * 0.9 and 0 not in sample[1 - first :: 2]
        for first in (0, 1)
    )
