"""The walls around an attempt's process: what its code can reach, whatever it tries. Standard library only."""
