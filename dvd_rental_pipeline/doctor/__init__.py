"""Diagnosis of the configuration: what is set up, what is missing, how to fix it."""
