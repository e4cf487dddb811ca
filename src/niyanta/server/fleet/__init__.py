"""What workers say: that they are there, that they live, what became of their attempts."""
