"""The current certificate as grpc wants it."""

from __future__ import annotations

import grpc

from niyanta.server.access.certificates import Certificates, Material

__all__ = ["ShownCertificate"]


class ShownCertificate:
    """What new connections begin with. grpc asks at each handshake, in a thread of its own.

    Args:
        certificates: Where it stands.

    Attributes:
        first: What holds at the start.
    """

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._material = certificates.current
        self._made = self.first = _configuration(self._material)

    def newest(self) -> grpc.ServerCertificateConfiguration:
        """What holds now; made anew when it has changed."""
        material = self._certificates.current
        if material is not self._material:
            self._made = _configuration(material)
            self._material = material
        return self._made


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    pair = (material.key, material.certificate)
    return grpc.ssl_server_certificate_configuration([pair], material.client_authority)
