"""From the load on a scale to what was put in and what was taken out."""
