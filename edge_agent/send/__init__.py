"""Sealed batches to confirmed ones."""
