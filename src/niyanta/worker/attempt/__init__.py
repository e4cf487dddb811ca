"""One attempt as its agent sees it, from the assignment to the last event."""
