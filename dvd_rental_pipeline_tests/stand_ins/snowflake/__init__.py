"""Snowflake as its clients see it: fakesnow's server with patches, key-pair login, account objects and faults.

`stand_in.SnowflakeStandIn` is the entry point; it starts `application` as a process.
"""
