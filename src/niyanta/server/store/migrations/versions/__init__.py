"""The steps, a file each, in the order of the numbers that their names begin with.

``NNNN_what_it_does.sql`` is run as one script in one transaction. What can't be in one, as ``CREATE INDEX
CONCURRENTLY``, is in ``NNNN_what_it_does.py``: an ``upgrade(connection)`` that can be begun again where it broke off.
"""
