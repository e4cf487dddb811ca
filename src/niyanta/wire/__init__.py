"""What crosses the broker and gRPC: subjects, messages, frames, strict JSON."""
