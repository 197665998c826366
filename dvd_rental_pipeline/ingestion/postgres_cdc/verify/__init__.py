"""Comparing raw tables and capture set-up with the source."""
