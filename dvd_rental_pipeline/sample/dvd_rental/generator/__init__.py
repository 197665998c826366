"""The deterministic generator of sample data for the DVD rental database."""
