"""The gRPC API: decode, authenticate, call a service, encode."""
