"""The launcher, which owns the processes of attempts, and the agent's pool of them.

The launcher itself loads nothing but the standard library.
"""
