"""Thousands of gateways in one process that speak the real contract: the load of every benchmark, and rehearsals."""
