"""The DVD rental database: schema, sample data generator, simulated traffic."""
