"""The chaos harness: a whole system under seeded faults, and a checker that reads what became of every workload."""
