"""From readings to hours, days and indicators, recomputed from what changed and nothing else."""
