"""The promises, each as a check on a history."""
