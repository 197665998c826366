"""The rows of tables in an exported snapshot, as Arrow, for full copies."""
