"""When the graph runs, and how fresh it must be."""
