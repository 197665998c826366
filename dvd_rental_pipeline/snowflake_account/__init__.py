"""What an administrator makes once in a Snowflake account: roles, warehouses, schemas, policies, users."""
