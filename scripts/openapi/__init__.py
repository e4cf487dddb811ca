"""Makes the OpenAPI document from the declared operations."""
