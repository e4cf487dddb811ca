"""The coordinator: the APIs, the services behind them, the leader's loops, and the store."""
