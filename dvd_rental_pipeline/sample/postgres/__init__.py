"""The embedded PostgreSQL server: its programs, data directory, processes, and sharing between processes.

Belongs here: everything about the server. Does not belong here: what the databases on it contain.
"""
