"""The use cases. Each owns its transaction, and knows nothing of HTTP or gRPC."""
