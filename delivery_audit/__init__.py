"""Expected readings against accounted ones: each ends in exactly one fate, and each fate has evidence of its own."""
