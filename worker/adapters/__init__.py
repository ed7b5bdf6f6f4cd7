"""Tools behind the ports: database, broker, mail, sources."""
