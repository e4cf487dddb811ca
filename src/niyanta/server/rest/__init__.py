"""The REST API and its WebSockets: decode, authenticate, call a service, encode."""
