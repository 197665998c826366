"""One folder per pipeline, with all that is particular to it, and what assembles it from its declaration."""
