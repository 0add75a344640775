"""The store in InfluxDB 1.x, 2.x and 3 Core, through what all of them serve."""
