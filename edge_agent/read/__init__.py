"""Meters to samples."""
