"""PostgreSQL: a module and a file of SQL for each aggregate. Rows become values here."""
