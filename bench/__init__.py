"""Measurements, as commands that print JSON. Run with ``make bench``."""
