"""What one coordinator does for all: assign, watch over workers and time-outs, look after partitions."""
