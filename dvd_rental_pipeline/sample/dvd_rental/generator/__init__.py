"""The deterministic generator of sample data. The entry point is `generate.generate`."""
