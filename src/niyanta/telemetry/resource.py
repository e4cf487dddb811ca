"""Who sends telemetry: the resource of OpenTelemetry."""

from __future__ import annotations

from opentelemetry.sdk.resources import Resource

from niyanta.telemetry.settings import names_service
from niyanta.version import __version__

__all__ = ["resource_of"]


def resource_of(service: str, instance: str) -> Resource:
    """What the settings say (``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES``), and for the rest what is known.

    Args:
        service: The service's name, where the settings give none.
        instance: Which process of the service it is; empty where that isn't known.
    """
    own = {"service.name": service, "service.version": __version__}
    if instance:
        own["service.instance.id"] = instance
    said = names_service()
    return Resource.create({name: value for name, value in own.items() if name not in said})
