"""What happens whether or not it is measured, as functions of civil time."""
