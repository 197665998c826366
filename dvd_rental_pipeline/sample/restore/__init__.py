"""Restoring a dump of PostgreSQL: recognizing its format, leaving out what does not belong, loading it."""
