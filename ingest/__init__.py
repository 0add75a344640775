"""The cloud's worker: from MQTT to durable rows, then receipt, then ack. Any number of equal ones may run."""
