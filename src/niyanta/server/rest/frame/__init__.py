"""What every request goes through: its declaration, its parameters, its response."""
