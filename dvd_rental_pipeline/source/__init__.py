"""The source database: the embedded PostgreSQL, its schema, sample data, restore, simulated traffic."""
