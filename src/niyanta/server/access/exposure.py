"""What of a coordinator's traffic others could read, as it leaves this machine without TLS, or for whomever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from niyanta.server.settings import CoordinatorSettings
from niyanta.wire.addresses import Addresses, is_loopback

__all__ = ["Exposure", "exposures"]

_SECURED = ("verify-ca", "verify-full")


class Exposure(NamedTuple):
    """One way that is open."""

    way: str
    """``listener``, ``broker`` or ``database``."""
    where: str
    danger: str
    advice: str
    event: str = "traffic.in_the_clear"
    """What the log calls it."""

    @property
    def told(self) -> dict[str, str]:
        """What the log says of it."""
        return {"way": self.way, "where": self.where, "danger": self.danger, "advice": self.advice}


def exposures(settings: CoordinatorSettings) -> list[Exposure]:
    """All of them, by what the settings say."""
    found = []
    if not (settings.tls_cert or settings.behind_proxy or is_loopback(settings.host)):
        found.append(
            Exposure(
                "listener",
                settings.host,
                "whoever is on the way reads API keys, inputs and results",
                "set NIYANTA_TLS_CERT and NIYANTA_TLS_KEY, or name the proxies that speak TLS by --behind-proxy",
            )
        )
    if hosts := Addresses.parse(settings.nats_url, settings.broker_tls).exposed:
        found.append(
            Exposure(
                "broker",
                ", ".join(hosts),
                "whoever is on the way reads inputs, results and join tokens",
                "give NATS a certificate, and begin its addresses with tls://",
            )
        )
    return [*found, *_of_the_database(settings.database_url)]


def _of_the_database(url: str) -> list[Exposure]:
    options = parse_qs(urlsplit(url).query)
    mode = options.get("sslmode", ["prefer"])[-1]
    hosts = ", ".join(_distant_hosts(url, options))
    advice = "append ?sslmode=verify-full&sslrootcert=FILE to the database's URL"
    if mode in _SECURED or not hosts:
        return []
    if mode == "require":
        danger = "sslmode=require doesn't look who the server is: whoever gets in between reads everything"
        return [Exposure("database", hosts, danger, advice, "traffic.unverified")]
    return [Exposure("database", hosts, "whoever is on the way reads everything", advice)]


def _distant_hosts(url: str, options: Mapping[str, list[str]]) -> list[str]:
    place = urlsplit(url)
    named = [place.netloc.rpartition("@")[2], *options.get("host", [])]
    hosts = [_host(part) for text in named for part in text.split(",") if not part.startswith("/")]
    return [host for host in hosts if host and not is_loopback(host)]


def _host(part: str) -> str:
    """Of ``host:port``; empty for a socket in the file system."""
    try:
        return urlsplit(f"//{part}").hostname or ""
    except ValueError:
        return ""
