"""Writing the raw tables and their past states."""
