"""The report on asset checks: read from the Dagster instance, rendered as HTML, Markdown, JSON and JUnit."""
