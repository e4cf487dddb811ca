"""What WebSockets and gRPC streams follow: one workload's updates, in order."""
