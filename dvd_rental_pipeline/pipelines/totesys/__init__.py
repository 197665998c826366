"""The totesys pipeline: its source and warehouse tables, the transformation between them, loading, checks."""
