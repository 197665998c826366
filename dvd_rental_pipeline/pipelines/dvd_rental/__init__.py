"""The DVD rental pipeline: its catalogue, and what its graph has beyond the shared parts."""
