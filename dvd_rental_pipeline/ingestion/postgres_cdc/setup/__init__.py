"""What a PostgreSQL server needs for change capture: role, privileges, heartbeat, publication, slot."""
