"""Tests of the signups pipeline."""
