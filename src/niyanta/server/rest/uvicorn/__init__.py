"""Where we reach into uvicorn: bounds on heads, and WebSockets."""
