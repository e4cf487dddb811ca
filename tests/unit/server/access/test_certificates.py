"""Files that can't be used as a certificate are told of in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from niyanta.errors import ConfigurationError
from niyanta.server.access.certificates import Certificates
from niyanta.server.settings import CoordinatorSettings
from support.certificates import Authority


def settings(**given: str) -> CoordinatorSettings:
    return CoordinatorSettings.from_environment({}, database_url="", nats_url="", **given)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


WRONG: dict[str, tuple[Callable[[Authority], dict[str, str]], str]] = {
    "no such file": (lambda _: {"tls_cert": "/nowhere.crt"}, r"/nowhere\.crt.*can't be read: No such file"),
    "another's key": (lambda by: {"tls_key": by.issue("other").key}, "the key doesn't belong to the certificate"),
    "a sealed key": (
        lambda by: (lambda sealed: {"tls_cert": sealed.cert, "tls_key": sealed.key})(by.issue("s", password=b"pw")),
        "the key is encrypted; write it without a password",
    ),
    "no PEM": (lambda _: {"tls_key": "/etc/hostname"}, "can't be used for TLS: .*PEM"),
    "no authority": (lambda by: {"tls_client_ca": by.issue("other").key}, "can't be used for TLS"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said(authority: Authority, case: str) -> None:
    given, said = WRONG[case]
    own = authority.issue("own")
    with pytest.raises(ConfigurationError, match=said):
        Certificates(settings(**{"tls_cert": own.cert, "tls_key": own.key, **given(authority)}))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tls_cert": "a.crt"}, "tls_cert and tls_key go together"),
        ({"tls_key": "a.key"}, "tls_cert and tls_key go together"),
        ({"tls_client_ca": "ca.crt"}, "tls_client_ca needs tls_cert"),
        ({"tls_client_certs": "perhaps"}, "tls_client_certs"),
    ],
)
def test_settings_that_fit_no_other_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        settings(**given)
