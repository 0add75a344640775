"""Lines of a report as documents."""
