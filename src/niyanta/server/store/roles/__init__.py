"""The roles in which PostgreSQL is used, and what each may do (ADR 0030)."""
