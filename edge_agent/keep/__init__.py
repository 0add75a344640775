"""Samples to sealed batches on disk."""
