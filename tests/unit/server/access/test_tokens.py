"""JSON Web Tokens: what is accepted, and every forgery we know of."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from niyanta.errors import ConfigurationError, UnauthorizedError
from niyanta.server.access.tokens import TokenVerifier
from niyanta.server.settings import CoordinatorSettings

SECRET = "0123456789abcdef0123456789abcdef-secret"
OTHER_SECRET = "another secret of thirty-two bytes or more"
RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
OTHER_EC = ec.generate_private_key(ec.SECP256R1())


def settings(**fields: Any) -> CoordinatorSettings:
    return CoordinatorSettings.from_environment({}, database_url="x", nats_url="x", **fields)


def now() -> int:
    return int(time.time())


def claims(**changes: Any) -> dict[str, Any]:
    found = {"sub": "user_123", "customer_id": "cust_a", "tier": "premium", "exp": now() + 300, "iat": now()}
    found |= changes
    return {name: value for name, value in found.items() if value is not ...}


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hs256(header: Any, payload: Any, secret: str | bytes = SECRET) -> str:
    """A token signed by hand, whatever its header says."""
    body = f"{part(header)}.{part(payload)}"
    key = secret.encode() if isinstance(secret, str) else secret
    return f"{body}.{part(hmac.new(key, body.encode(), hashlib.sha256).digest())}"


def good(**changes: Any) -> str:
    return hs256({"alg": "HS256", "typ": "JWT"}, claims(**changes))


def with_header(**fields: Any) -> str:
    return hs256({"alg": "HS256", "typ": "JWT", **fields}, claims())


FORGERIES: dict[str, Callable[[], str]] = {
    "no signature": lambda: good().rpartition(".")[0] + ".",
    "a header that is nested too deeply": lambda: hs256(b'{"alg":"HS256","x":' + b"[" * 3000, claims()),
    "two parts": lambda: good().rpartition(".")[0],
    "four parts": lambda: good() + ".x",
    "signature of another secret": lambda: hs256({"alg": "HS256"}, claims(), OTHER_SECRET),
    "signed with the empty secret": lambda: hs256({"alg": "HS256"}, claims(), ""),
    "signature of another token": lambda: good().rpartition(".")[0] + "." + good(sub="b").rpartition(".")[2],
    "claims changed": lambda: ".".join(
        [good().split(".")[0], part(claims(customer_id="cust_b")), good().split(".")[2]]
    ),
    "alg none": lambda: f"{part({'alg': 'none'})}.{part(claims())}.",
    "alg None": lambda: f"{part({'alg': 'None'})}.{part(claims())}.",
    "alg none with a good signature": lambda: hs256({"alg": "none"}, claims()),
    "alg HS512": lambda: jwt.encode(claims(), SECRET + SECRET, algorithm="HS512"),
    "alg hs256 in small letters": lambda: hs256({"alg": "hs256"}, claims()),
    "alg missing": lambda: hs256({"typ": "JWT"}, claims()),
    "alg a list": lambda: hs256({"alg": ["HS256"]}, claims()),
    "alg RS256 where HS256 is meant": lambda: jwt.encode(claims(), RSA, algorithm="RS256"),
    "typ of another kind of token": lambda: with_header(typ="secevent+jwt"),
    "brings its key (jwk)": lambda: hs256(
        {"alg": "HS256", "jwk": {"kty": "oct", "k": part(OTHER_SECRET.encode())}}, claims(), OTHER_SECRET
    ),
    "jwk with a good signature": lambda: with_header(jwk={"kty": "oct", "k": "AAAA"}),
    "names its key's address (jku)": lambda: with_header(jku="http://127.0.0.1/keys"),
    "names its certificate (x5u)": lambda: with_header(x5u="http://127.0.0.1/cert"),
    "brings its certificate (x5c)": lambda: with_header(x5c=["AAAA"]),
    "crit": lambda: with_header(crit=["exp"]),
    "crit, empty": lambda: with_header(crit=[]),
    "b64": lambda: with_header(b64=False, crit=["b64"]),
    "compressed": lambda: with_header(zip="DEF"),
    "kid a path": lambda: with_header(kid=["../../dev/null"]),
    "kid a number": lambda: with_header(kid=1),
    "header no object": lambda: hs256([], claims()),
    "header no JSON": lambda: hs256(b"{", claims()),
    "claims no object": lambda: hs256({"alg": "HS256"}, [claims()]),
    "claims no JSON": lambda: hs256({"alg": "HS256"}, b'{"sub": "user_123"'),
    "claims with NaN": lambda: hs256({"alg": "HS256"}, b'{"sub": "u", "customer_id": "cust_a", "exp": NaN}'),
    "claims in UTF-16": lambda: hs256({"alg": "HS256"}, json.dumps(claims()).encode("utf-16")),
    "expired": lambda: good(exp=now() - 3600),
    "just expired beyond the leeway": lambda: good(exp=now() - 61, iat=...),
    "no exp": lambda: good(exp=...),
    "exp null": lambda: good(exp=None),
    "exp a text": lambda: good(exp=str(now() + 300)),
    "exp infinite": lambda: hs256({"alg": "HS256"}, b'{"sub": "u", "customer_id": "cust_a", "exp": 1e999}'),
    "exp a number without end": lambda: good(exp=10**400),
    "exp true": lambda: good(exp=True),
    "not yet good": lambda: good(nbf=now() + 3600),
    "nbf a text": lambda: good(nbf="0"),
    "from the future": lambda: good(iat=now() + 3600, exp=now() + 7200),
    "iat after exp": lambda: good(iat=now() + 30, exp=now() + 10),
    "iat negative": lambda: good(iat=-1),
    "no customer": lambda: good(customer_id=...),
    "customer null": lambda: good(customer_id=None),
    "customer a list": lambda: good(customer_id=["cust_a"]),
    "customer no id of ours": lambda: good(customer_id="cust_a' OR 1=1"),
    "customer with a new line": lambda: good(customer_id="cust_a\n"),
    "no sub": lambda: good(sub=...),
    "sub empty": lambda: good(sub=""),
    "sub with a new line": lambda: good(sub="a\nb"),
    "sub with NUL": lambda: good(sub="a\0"),
    "sub too long": lambda: good(sub="a" * 256),
    "an audience, and we have none": lambda: good(aud="somebody"),
    "too long": lambda: good(x="a" * 9000),
    "white space inside": lambda: good().replace(".", " .", 1),
    "padding from another alphabet": lambda: good().replace(".", "!.", 1),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forgery_is_refused(name: str) -> None:
    verifier = TokenVerifier(settings(jwt_algorithm="HS256", jwt_secret=SECRET))
    assert (await verifier.verify(good())).customer_id == "cust_a"
    with pytest.raises(UnauthorizedError) as refused:
        await verifier.verify(FORGERIES[name]())
    assert str(refused.value) == "The credentials are not valid"


async def test_what_is_good_is_accepted() -> None:
    until = now() + 300
    verifier = TokenVerifier(settings(jwt_algorithm="HS256", jwt_secret=SECRET))
    found = await verifier.verify(good(exp=until))
    assert (found.customer_id, found.subject, found.expires_at) == ("cust_a", "user_123", until + 60)
    for token in (good(exp=now() - 30, iat=now() - 100), good(nbf=now() + 30), good(iat=...), good(role="admin")):
        assert await verifier.verify(token)
    assert await verifier.verify(with_header(kid="whatever", unknown=1))


async def test_issuer_and_audience_are_checked_when_set() -> None:
    verifier = TokenVerifier(
        settings(jwt_algorithm="HS256", jwt_secret=SECRET, jwt_issuer="https://id", jwt_audience="niyanta")
    )
    assert await verifier.verify(good(iss="https://id", aud=["other", "niyanta"]))
    assert await verifier.verify(good(iss="https://id", aud="niyanta"))
    for changes in (
        {},
        {"iss": "https://id"},
        {"aud": "niyanta"},
        {"iss": "https://ID", "aud": "niyanta"},
        {"iss": "https://id", "aud": "niyant"},
        {"iss": "https://id", "aud": []},
        {"iss": ["https://id"], "aud": "niyanta"},
    ):
        with pytest.raises(UnauthorizedError):
            await verifier.verify(good(**changes))


async def test_without_an_algorithm_no_token_is_accepted() -> None:
    with pytest.raises(UnauthorizedError):
        await TokenVerifier(settings()).verify(good())


def jwk(key: Any, **fields: Any) -> dict[str, Any]:
    of = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey) else ECAlgorithm
    return {**json.loads(of.to_jwk(key)), **fields}


def public(key: Any, **fields: Any) -> dict[str, Any]:
    return jwk(key.public_key(), **fields)


async def with_keys(tmp_path: Path, algorithm: str, *keys: dict[str, Any]) -> TokenVerifier:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": list(keys)}))
    verifier = TokenVerifier(settings(jwt_algorithm=algorithm, jwt_jwks=str(path)))
    await verifier.start()
    return verifier


def rs256(key: Any = RSA, **headers: Any) -> str:
    return jwt.encode(claims(), key, algorithm="RS256", headers=headers or None)


async def test_the_key_is_picked_by_kid_from_the_set_only(tmp_path: Path) -> None:
    verifier = await with_keys(tmp_path, "RS256", public(RSA, kid="a"), public(OTHER_RSA, kid="b"))
    assert await verifier.verify(rs256(RSA, kid="a"))
    assert await verifier.verify(rs256(OTHER_RSA, kid="b"))
    for token in (rs256(RSA, kid="b"), rs256(RSA, kid="c"), rs256(RSA), rs256(RSA, kid="../../dev/null")):
        with pytest.raises(UnauthorizedError):
            await verifier.verify(token)


async def test_a_public_key_is_no_shared_secret(tmp_path: Path) -> None:
    verifier = await with_keys(tmp_path, "RS256", public(RSA, kid="a"))
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.strip(), json.dumps(public(RSA)).encode()):
        for alg in ("HS256", "RS256"):
            with pytest.raises(UnauthorizedError):
                await verifier.verify(hs256({"alg": alg, "kid": "a"}, claims(), secret))
    with pytest.raises(UnauthorizedError):
        await verifier.verify(f"{part({'alg': 'none', 'kid': 'a'})}.{part(claims())}.")
    with pytest.raises(UnauthorizedError):
        await verifier.verify(jwt.encode(claims(), RSA, algorithm="PS256", headers={"kid": "a"}))
    with pytest.raises(UnauthorizedError):
        await verifier.verify(jwt.encode(claims(), EC, algorithm="ES256", headers={"kid": "a"}))


async def test_es256(tmp_path: Path) -> None:
    verifier = await with_keys(tmp_path, "ES256", public(EC, kid="e"), public(RSA, kid="a"))
    token = jwt.encode(claims(), EC, algorithm="ES256")
    assert await verifier.verify(token)
    with pytest.raises(UnauthorizedError):
        await verifier.verify(jwt.encode(claims(), OTHER_EC, algorithm="ES256", headers={"kid": "e"}))
    with pytest.raises(UnauthorizedError):  # r = s = 0
        await verifier.verify(token.rpartition(".")[0] + "." + part(bytes(64)))
    with pytest.raises(UnauthorizedError):
        await verifier.verify(rs256(RSA, kid="a"))


async def test_a_new_key_is_found_when_a_token_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = await with_keys(tmp_path, "RS256", public(RSA, kid="a"))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public(OTHER_RSA, kid="b")]}))
    with pytest.raises(UnauthorizedError):  # not read again so soon
        await verifier.verify(rs256(OTHER_RSA, kid="b"))
    monkeypatch.setattr("niyanta.server.access.tokens.REFETCH_SECONDS", 0.0)
    assert await verifier.verify(rs256(OTHER_RSA, kid="b"))
    with pytest.raises(UnauthorizedError):
        await verifier.verify(rs256(RSA, kid="a"))
    (tmp_path / "keys.json").write_text("broken")
    with pytest.raises(UnauthorizedError):
        await verifier.verify(rs256(RSA, kid="c"))
    assert await verifier.verify(rs256(OTHER_RSA, kid="b"))


SMALL = rsa.generate_private_key(65537, 1024)
P384 = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("algorithm", "text", "names"),
    [
        ("RS256", "no JSON", "Key Set"),
        ("RS256", "[]", "Key Set"),
        ("RS256", '{"keys": []}', "no signing key"),
        ("RS256", json.dumps({"keys": [public(EC)]}), "no signing key"),
        ("RS256", json.dumps({"keys": [public(RSA, use="enc")]}), "no signing key"),
        ("RS256", json.dumps({"keys": [public(RSA, alg="RS512")]}), "no signing key"),
        ("RS256", json.dumps({"keys": [{"kty": "oct", "k": part(SECRET.encode())}]}), "no signing key"),
        ("RS256", json.dumps({"keys": [jwk(RSA)]}), "private"),
        ("RS256", json.dumps({"keys": [public(SMALL)]}), "2048"),
        ("RS256", json.dumps({"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]}), "read"),
        ("RS256", json.dumps({"keys": [public(RSA), public(OTHER_RSA)]}), "same kid"),
        ("ES256", json.dumps({"keys": [public(P384)]}), "P-256"),
    ],
)
async def test_a_bad_key_set_is_a_configuration_error(tmp_path: Path, algorithm: str, text: str, names: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=names):
        await TokenVerifier(settings(jwt_algorithm=algorithm, jwt_jwks=str(path))).start()


async def test_a_missing_key_set_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        await TokenVerifier(settings(jwt_algorithm="RS256", jwt_jwks=str(tmp_path / "none"))).start()


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"jwt_algorithm": "none"}, "jwt_algorithm"),
        ({"jwt_algorithm": "HS512", "jwt_secret": SECRET}, "jwt_algorithm"),
        ({"jwt_algorithm": "HS256"}, "256 bits"),
        ({"jwt_algorithm": "HS256", "jwt_secret": "x" * 31}, "256 bits"),
        ({"jwt_algorithm": "HS256", "jwt_secret": SECRET, "jwt_jwks": "keys.json"}, "jwt_jwks"),
        ({"jwt_algorithm": "RS256"}, "jwt_jwks"),
        ({"jwt_algorithm": "RS256", "jwt_jwks": "keys.json", "jwt_secret": SECRET}, "jwt_secret"),
        ({"jwt_algorithm": "ES256", "jwt_jwks": "http://id.example.com/keys"}, "https"),
        ({"jwt_secret": SECRET}, "jwt_algorithm"),
        ({"metrics_access": "everybody"}, "metrics_access"),
    ],
)
def test_settings_that_can_not_work_are_refused(fields: dict[str, str], names: str) -> None:
    with pytest.raises(ConfigurationError, match=names) as refused:
        settings(**fields)
    assert SECRET not in str(refused.value)


def test_no_secret_is_shown() -> None:
    found = settings(jwt_algorithm="HS256", jwt_secret=SECRET)
    verifier = TokenVerifier(found)
    for text in (repr(found), str(found), repr(verifier)):
        assert SECRET not in text
