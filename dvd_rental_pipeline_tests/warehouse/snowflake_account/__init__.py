"""Tests of the set-up of a Snowflake account."""
