"""How meters see the world: each with errors, memory and resolution of its own, as functions of seed and time alone."""
