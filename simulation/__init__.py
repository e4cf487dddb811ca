"""The leader's decisions on virtual time, over models of all that it works with: ``make simulate``."""
