"""What the tests of the clients share."""

from scripted_service import service as service
