"""An Airbyte that runs in the test process and is called over HTTP.

`server.AirbyteStandIn` is the entry point. It has the parts of both APIs that the pipeline uses. Its syncs
replicate a real PostgreSQL database into a destination; its failures follow a script.
"""
