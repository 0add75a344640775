"""A device is data: what its registers mean, how they may be read, and from which document that is known."""
