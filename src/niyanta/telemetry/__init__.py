"""OpenTelemetry, where an operator has asked for it: without that, nothing of it is imported."""
