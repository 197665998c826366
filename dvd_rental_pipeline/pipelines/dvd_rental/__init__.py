"""The DVD rental pipeline: its catalogue, its declaration, and the checks that it alone has."""
