"""The OpenAPI document, made from the declarations, and the pages that show it."""
