"""Snowflake as its clients see it: fakesnow's server, mended, with key-pair login and faults on demand."""
