"""The one way to move a workload, to command a worker, and to tell everybody of it."""
