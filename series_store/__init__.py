"""Where readings are kept: one port, two homes (SQLite, InfluxDB)."""
