"""What authors of workers write against: handlers, their parameters and results, and the context they are given."""
