"""A world told day by day: columns of what was and of what meters showed, what happened when, a picture of a day."""
