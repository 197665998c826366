"""Writing the raw tables, and the past states of their rows."""
