"""Chips on mock pins: what a gateway reads when there is no board under it."""
