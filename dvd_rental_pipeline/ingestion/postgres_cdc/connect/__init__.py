"""Sessions with the source, and what it is: server, tables and their types, publication, replication slot."""
