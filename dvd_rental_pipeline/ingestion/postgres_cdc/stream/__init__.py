"""Reading the change stream: decoding its messages, and collecting them per table in batches."""
