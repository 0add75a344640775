"""Meters as they are seen from the bus; their encoders share nothing with the decoders that read them."""
