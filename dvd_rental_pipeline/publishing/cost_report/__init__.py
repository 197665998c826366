"""What each asset costs per day: seconds, rows and bytes from the history of runs, credits from Snowflake."""
