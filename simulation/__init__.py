"""The leader's decisions on virtual time, over models of the database, the broker and the workers: ``make simulate``."""
