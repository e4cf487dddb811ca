"""The schema, one step after another. Steps are only ever added."""
