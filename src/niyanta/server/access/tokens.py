"""JSON Web Tokens, checked as RFC 8725 asks.

Nothing a token says decides how it is checked. The algorithm is the configured one, the keys are from the configured
set and fit it by type, and headers that bring or name keys (``jwk``, ``jku``, ``x5c``, ``x5u``) or demand extensions
(``crit``, ``b64``) are refused. ``kid`` only picks among the keys that are there. PyJWT checks signature and claims;
what it lets through is read strictly besides: a number is a number. What a token says of roles or tiers counts for
nothing; the database says both.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_decode
from msgspec import Meta

from niyanta.domain.ids import CUSTOMER_ID_PATTERN
from niyanta.domain.limits import MAX_SUBJECT_LENGTH, MAX_TOKEN_LENGTH, MIN_RSA_BITS
from niyanta.errors import ConfigurationError, ServiceUnavailableError, UnauthorizedError
from niyanta.server.settings import CoordinatorSettings
from niyanta.wire.decoding import UNREADABLE

__all__ = ["REFETCH_SECONDS", "Claims", "TokenVerifier"]

log = logging.getLogger(__name__)

REFETCH_SECONDS = 10.0
"""The key set isn't asked for again before that, whatever tokens name."""

_LEEWAY_SECONDS = 60
_MOST_SET_BYTES = 1 << 20
_FETCH_SECONDS = 5.0
_REFRESH_SECONDS = 300.0
_KEY_HEADERS = ("jwk", "jku", "x5c", "x5u", "x5t", "x5t#S256", "crit", "b64", "zip")


_Key: TypeAlias = bytes | RSAPublicKey | EllipticCurvePublicKey
"""What signatures are checked with: the secret of HS256, or a public key."""


class _Header(msgspec.Struct):
    alg: str
    typ: str = "JWT"
    kid: str | None = None


_Time = Annotated[float, Meta(ge=0)]


class _Payload(msgspec.Struct):
    sub: Annotated[str, Meta(min_length=1, max_length=MAX_SUBJECT_LENGTH)]
    customer_id: str
    exp: _Time
    nbf: _Time | None = None
    iat: _Time | None = None


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says."""

    customer_id: str
    """Whom it acts for; whether that customer exists is for the caller to see."""
    subject: str
    expires_at: float
    """Unix seconds after which it is good no more, the leeway included."""
    issued_at: float | None = None
    """Unix seconds; None when it doesn't say."""


class TokenVerifier:
    """Checks tokens by the configured algorithm and keys.

    Args:
        settings: Its ``jwt_…`` fields.
    """

    def __init__(self, settings: CoordinatorSettings) -> None:
        self._algorithm = settings.jwt_algorithm
        self._source = settings.jwt_jwks
        self._issuer = settings.jwt_issuer or None
        self._audience = settings.jwt_audience or None
        self._keys: dict[str | None, _Key] = {}
        self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._read_header = msgspec.json.Decoder(_Header).decode
        self._read_payload = msgspec.json.Decoder(_Payload).decode
        if self._algorithm == "HS256":
            self._keys = {None: settings.jwt_secret.encode()}

    @property
    def is_on(self) -> bool:
        """Whether any token is accepted."""
        return bool(self._algorithm)

    async def start(self) -> None:
        """Read the key set. One behind a URL may be away for now; a file may not.

        Raises:
            ConfigurationError: The file can't be read, or holds no key for the algorithm.
        """
        if not self._source:
            return
        try:
            await self._load()
        except ConfigurationError as exc:
            if not _is_url(self._source):
                raise
            log.warning("tokens.keys_not_loaded", extra={"error": str(exc)})

    async def run(self) -> None:
        """Read the key set again now and then, until cancelled, so that a key that was taken out of it ends."""
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            if self._source:
                await self._reload()

    async def verify(self, token: str) -> Claims:
        """Check a token.

        Raises:
            UnauthorizedError: It isn't good. The message says no more than that.
            ServiceUnavailableError: The issuer's keys could not be read so far.
        """
        if not self._algorithm or len(token) > MAX_TOKEN_LENGTH or token.count(".") != 2:
            raise _refused("form")
        header = self._header(token)
        key = await self._key(header.kid)
        try:
            jwt.decode(
                token,
                key,
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as exc:
            raise _refused("signature or claims") from exc
        return self._claims(token.split(".")[1])

    def _header(self, token: str) -> _Header:
        try:
            raw = base64url_decode(token.partition(".")[0])
            names = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
            header = self._read_header(raw)
        except (ValueError, *UNREADABLE) as exc:
            raise _refused("header") from exc
        if header.alg != self._algorithm or header.typ.lower() not in ("jwt", "at+jwt"):
            raise _refused("header")
        if any(name in names for name in _KEY_HEADERS):
            raise _refused("header")
        return header

    async def _key(self, kid: str | None) -> _Key:
        """The key that ``kid`` names; without one, the only key there is."""
        if self._algorithm == "HS256":
            return self._keys[None]
        if kid not in self._keys and (kid is not None or not self._keys):
            await self._reload()
        if not self._keys:
            raise ServiceUnavailableError(
                "The token issuer's keys can't be read at the moment; try again",
                details={"dependency": "jwks"},
                retry_after_seconds=REFETCH_SECONDS,
            )
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if kid not in self._keys:
            raise _refused("key")
        return self._keys[kid]

    def _claims(self, payload: str) -> Claims:
        """What a token that PyJWT lets through says."""
        try:
            claims = self._read_payload(base64url_decode(payload))
        except UNREADABLE as exc:
            raise _refused("claims") from exc
        known = CUSTOMER_ID_PATTERN.fullmatch(claims.customer_id) is not None
        if not known or not claims.sub.isprintable() or (claims.iat is not None and claims.iat > claims.exp):
            raise _refused("claims")
        return Claims(claims.customer_id, claims.sub, claims.exp + _LEEWAY_SECONDS, claims.iat)

    async def _reload(self) -> None:
        """Load the set again unless that was tried just now. If it can't be read, the last one stands."""
        async with self._fetching:
            if time.monotonic() - self._fetched_at < REFETCH_SECONDS:
                return
            try:
                await self._load()
            except ConfigurationError as exc:
                log.warning("tokens.keys_not_loaded", extra={"error": str(exc)})

    async def _load(self) -> None:
        self._fetched_at = time.monotonic()
        raw = await _fetch(self._source) if _is_url(self._source) else await asyncio.to_thread(_read, self._source)
        self._keys = _keys(raw, self._algorithm)


def _refused(what: str) -> UnauthorizedError:
    log.debug("tokens.refused", extra={"part": what})
    return UnauthorizedError("The credentials are not valid")


def _is_url(source: str) -> bool:
    return source.startswith(("https://", "http://"))


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"jwt_jwks: the file can't be read: {exc}") from exc


async def _fetch(url: str) -> bytes:
    import aiohttp  # here, as it takes 7 MB that a coordinator without such a URL can spare

    timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ConfigurationError(f"jwt_jwks: the URL answered {response.status}")
            raw = b""
            async for part in response.content.iter_chunked(1 << 16):
                raw += part
                if len(raw) > _MOST_SET_BYTES:
                    raise ConfigurationError(f"jwt_jwks: the set has more than {_MOST_SET_BYTES} bytes")
            return raw
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
        raise ConfigurationError(f"jwt_jwks: the URL doesn't answer: {type(exc).__name__}") from exc


def _keys(raw: bytes, algorithm: str) -> dict[str | None, _Key]:
    """The set's public signing keys for the algorithm, by ``kid``.

    Raises:
        ConfigurationError: It is no key set, or holds no such key.
    """
    try:
        found = msgspec.json.decode(raw, type=_KeySet).keys
    except UNREADABLE as exc:
        raise ConfigurationError(f"jwt_jwks is no JSON Web Key Set: {exc}") from exc
    keys: dict[str | None, _Key] = {}
    for entry in found:
        kid = entry.get("kid")
        fits = entry.get("kty") == ("RSA" if algorithm == "RS256" else "EC")
        if not fits or entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
            continue
        if not isinstance(kid, str | None):
            raise ConfigurationError("jwt_jwks: a kid must be a text")
        if "d" in entry:
            raise ConfigurationError("jwt_jwks holds a private key; only public keys belong there")
        if kid in keys:
            raise ConfigurationError("jwt_jwks: two keys have the same kid, or none")
        keys[kid] = _public_key(entry, algorithm)
    if not keys:
        raise ConfigurationError(f"jwt_jwks holds no signing key for {algorithm}")
    return keys


def _public_key(entry: dict[str, Any], algorithm: str) -> _Key:
    if algorithm == "ES256" and entry.get("crv") != "P-256":
        raise ConfigurationError("jwt_jwks: ES256 needs keys on the curve P-256")
    try:
        key = RSAAlgorithm.from_jwk(entry) if algorithm == "RS256" else ECAlgorithm.from_jwk(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as exc:
        raise ConfigurationError("jwt_jwks: a key can't be read") from exc
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
        raise ConfigurationError("jwt_jwks holds a private key; only public keys belong there")
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise ConfigurationError(f"jwt_jwks: an RSA key must have at least {MIN_RSA_BITS} bits")
    return key
