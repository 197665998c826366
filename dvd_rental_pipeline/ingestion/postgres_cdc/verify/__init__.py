"""Comparing raw tables, publication and primary keys with the source. Changes nothing."""
