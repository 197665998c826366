"""An Airbyte that runs in the test process and is spoken to over HTTP.

`server.AirbyteStandIn` is the way in. It has the parts of both APIs that the pipeline uses; its syncs really
replicate a PostgreSQL database into a destination, and its failures follow a script.
"""
