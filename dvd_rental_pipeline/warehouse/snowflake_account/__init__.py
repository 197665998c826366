"""What an administrator creates once in a Snowflake account: roles, warehouses, schemas, policies, users."""
