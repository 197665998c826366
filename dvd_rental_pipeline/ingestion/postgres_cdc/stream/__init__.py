"""Reading the change stream: protocol, blocks of messages, and applying them to each table."""
