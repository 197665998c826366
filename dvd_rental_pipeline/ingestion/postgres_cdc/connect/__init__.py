"""Sessions with the source, and what is set up there: publication, replication slot, role."""
