"""totesys, the back-end database of a wholesaler: its schema, generated data, and continuing traffic."""
