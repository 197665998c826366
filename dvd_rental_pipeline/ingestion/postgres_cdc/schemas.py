"""Names of the schemas that a sync writes. Imports no database."""


def past_schema(schema: str) -> str:
    """The schema for the past states of the raw tables in `schema`."""
    return f"{schema}_past"
