"""The command: it wires programs together, and no shipped package imports it."""
