"""The keys by which coordinators and a closed broker know each other, and the broker's configuration by them."""

from __future__ import annotations

from dataclasses import dataclass, field

from niyanta.server.fleet.nkeys import ACCOUNT, USER, KeyPair
from niyanta.server.store.database import Database
from niyanta.server.store.shared_secrets import shared_secret
from niyanta.wire.login import Login

__all__ = ["BROKER_ACCOUNT", "BrokerKeys"]

BROKER_ACCOUNT = "NIYANTA"
"""The account of coordinators and workers on the broker."""
_SYSTEM_ACCOUNT = "NIYANTA_SYSTEM"
_CONFIGURATION = """\
accounts {{
  {account} {{ users: [ {{ nkey: {coordinator} }} ] }}
  {system_account} {{ users: [ {{ nkey: {system} }} ] }}
}}
system_account: {system_account}
authorization {{
  timeout: 1.5
  auth_callout {{
    issuer: {issuer}
    account: {account}
    auth_users: [ {coordinator}, {system} ]
  }}
}}
max_payload: 1MB
"""


@dataclass(frozen=True)
class BrokerKeys:
    """Made once for a database, and shared by all its coordinators through it.

    Attributes:
        issuer: Signs what the broker is told of each worker.
        coordinator: Of all coordinators, as users of the broker.
        system: Theirs as well, for what only the broker's system account may do.
    """

    issuer: KeyPair = field(repr=False)
    coordinator: KeyPair = field(repr=False)
    system: KeyPair = field(repr=False)

    @classmethod
    async def load(cls, database: Database) -> BrokerKeys:
        """Those of the database."""
        return cls(
            KeyPair(ACCOUNT, await shared_secret(database, "broker-issuer")),
            KeyPair(USER, await shared_secret(database, "broker-coordinator")),
            KeyPair(USER, await shared_secret(database, "broker-system")),
        )

    @property
    def login(self) -> Login:
        """By which a coordinator comes in."""
        return Login(public_key=self.coordinator.public, sign=self.coordinator.sign)

    @property
    def system_login(self) -> Login:
        """By which it comes into the system account."""
        return Login(public_key=self.system.public, sign=self.system.sign)

    def configuration(self) -> str:
        """What to put into the broker's configuration. It names public keys only, so it holds no secret."""
        return _CONFIGURATION.format(
            account=BROKER_ACCOUNT,
            system_account=_SYSTEM_ACCOUNT,
            issuer=self.issuer.public,
            coordinator=self.coordinator.public,
            system=self.system.public,
        )
