"""What the pipeline expects of its sources: a module a domain, in the terms of `tables`."""
