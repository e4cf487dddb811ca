"""The OpenAPI document, which ``scripts/openapi`` makes from the declarations, and the pages that show it."""
