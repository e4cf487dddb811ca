"""What the tests of the clients share."""

from support.scripted_service import service as service
