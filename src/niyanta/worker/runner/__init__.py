"""The process of one attempt, and what it and the agent say to each other."""
