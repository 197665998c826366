"""Sample data for the DVD rental schema, the same for the same seed, scale and end."""
