"""Hostile bytes for every decoder of what others send: ``make fuzz``. `fuzz.target` is the engine."""
