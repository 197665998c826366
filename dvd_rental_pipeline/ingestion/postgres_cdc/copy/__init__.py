"""Full copies of tables from an exported snapshot."""
