"""Restore dumps: detect and unpack them, filter their statements, run them into a new database.

Belongs here: what a dump is, and what is not one. Does not belong here: what a given source must contain.
"""
