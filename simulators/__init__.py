"""Stand-ins for all hardware: a world whose balances close, meters that show it, a record of what was served."""
