"""Restoring PostgreSQL dumps: format detection, filtering of statements, loading.

Belongs here: what applies to a dump of any database. Does not belong here: the tables of a particular database,
which callers pass in.
"""
