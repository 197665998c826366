"""Compacting a batch of changes to the last change of each key."""
