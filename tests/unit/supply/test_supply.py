"""What is said of what Niyanta is made of is true, and what must not be in it is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from supply.advisories import GO, PYTHON, Advisory, Snapshot, read_database, read_go_database
from supply.go_modules import required
from supply.licences import Licences
from supply.packages import ROOT, Package, locked, needed_by
from supply.provenance import NAMESPACE, sign, statement
from supply.sbom import console_components, document

LICENCES = Licences(frozenset({"MIT", "Apache-2.0"}), {"MIT License": "MIT"}, {"odd": "MIT"})
# What a coordinator needs besides Niyanta itself. More must be worth it: each is code that others may change.
MOST_SERVER_PACKAGES = 36


def package(name: str, licence: str = "MIT") -> Package:
    return Package(name, "1.0", licence, frozenset())


def test_every_package_that_is_needed_is_locked_with_this_version() -> None:
    pinned = locked()
    needed = {name: one.version for name, one in needed_by(("dev",)).items() if name != "niyanta"}
    assert {name for name, version in needed.items() if version not in pinned.get(name, ())} == set()


def test_a_coordinator_needs_no_more_packages_than_it_did() -> None:
    assert len(needed_by(("server",))) - 1 <= MOST_SERVER_PACKAGES


def test_a_client_needs_few_packages_and_no_database() -> None:
    needed = needed_by()
    assert len(needed) - 1 <= 15
    assert "asyncpg" not in needed


def test_nothing_that_is_locked_has_a_known_weakness_and_all_was_asked_about() -> None:
    snapshot = Snapshot.load()
    assert snapshot.affecting(locked()) == []
    assert snapshot.unknown(locked()) == [], "make advisories FROM=<clone of the database>"


def test_no_module_that_the_go_sdk_requires_has_a_known_weakness() -> None:
    snapshot = Snapshot.load(GO)
    assert {"google.golang.org/grpc", "github.com/coder/websocket"} <= set(required())
    assert snapshot.affecting(required()) == []
    assert snapshot.unknown(required()) == [], "make advisories"


def test_every_licence_is_allowed() -> None:
    assert Licences.load().refused(needed_by(("dev",)).values()) == []


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND Apache-2.0", True),
        ("(MIT OR GPL-3.0-only) AND MIT", False),  # with brackets every part must be allowed
        ("", False),
        ("AND", False),
    ],
)
def test_an_expression_is_allowed_when_one_alternative_is_in_all_its_parts(expression: str, allowed: bool) -> None:
    assert LICENCES.allows(expression) is allowed


def test_what_authors_write_is_read_and_what_nobody_named_is_refused() -> None:
    refused = LICENCES.refused(
        [package("a", "MIT License"), package("odd", "?"), package("b", "?"), package("c", "")]
    )
    assert refused == ["b 1.0: ?", "c 1.0: no licence named"]


@pytest.mark.parametrize(
    ("version", "affected"),
    [("1.0", True), ("1.9", True), ("2.0", False), ("0.9", False), ("3.1", True), ("7", True)],
)
def test_versions_are_affected_from_one_to_the_next_that_is_mended(version: str, affected: bool) -> None:
    advisory = Advisory("A-1", "a", (), (("1.0", "2.0"), ("3.0", "")), frozenset({"0.1"}))
    assert advisory.affects(version) is affected
    assert advisory.affects("0.1")


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("1.9.0", True),
        ("1.10.0-rc.1", True),
        ("1.10.0", False),
        ("0.0.0-20180101000000-abcdefabcdef", True),
        ("2.0.0-dev", True),
        ("2.0.0-dev.0.20260101000000-abcdefabcdef", False),
        ("2.0.0", False),
    ],
)
def test_versions_of_go_are_ordered_as_they_are_there(version: str, affected: bool) -> None:
    ranges = (("0", "1.10.0"), ("2.0.0-dev", "2.0.0-dev.0.20260101000000-000000000000"))
    assert Advisory("GO-1", "a", (), ranges, frozenset(), GO.ecosystem).affects(version) is affected


def snapshot_of(*advisories: Advisory) -> Snapshot:
    return Snapshot(datetime(2026, 1, 1, tzinfo=UTC), "c0ffee", advisories, frozenset({"a"}))


def test_a_snapshot_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    snapshot = snapshot_of(Advisory("A-1", "a", ("CVE-1",), (("0", "1"),), frozenset()))
    snapshot.save(tmp_path / "snapshot.json")
    assert Snapshot.load(PYTHON, tmp_path / "snapshot.json") == snapshot


def test_a_snapshot_knows_its_age_and_what_it_was_not_asked() -> None:
    snapshot = snapshot_of(Advisory("A-1", "a", ("CVE-1",), (("0", "1"),), frozenset()))
    assert snapshot.age_days(snapshot.taken_at + timedelta(days=91)) == 91
    assert snapshot.unknown(["a", "b"]) == ["b"]
    assert snapshot.affecting({"a": ["0.5", "1.5"]}) == ["a 0.5: A-1 (CVE-1)"]


ENTRY = """
id: PYSEC-1
aliases: [CVE-1]
affected:
- package: {ecosystem: PyPI, name: Wanted}
  ranges:
  - {type: GIT, events: [{introduced: "0"}]}
  - {type: ECOSYSTEM, events: [{introduced: "0"}, {fixed: 1.5}, {introduced: "2"}]}
  versions: ["1.0"]
"""


def test_a_snapshot_is_taken_from_a_clone_of_the_database(tmp_path: Path) -> None:
    (tmp_path / "vulns" / "wanted").mkdir(parents=True)
    (tmp_path / "vulns" / "other").mkdir()
    (tmp_path / "vulns" / "wanted" / "PYSEC-1.yaml").write_text(ENTRY)
    (tmp_path / "vulns" / "wanted" / "PYSEC-2.yaml").write_text(ENTRY + "withdrawn: 2026-01-01T00:00:00Z\n")
    (tmp_path / "vulns" / "other" / "PYSEC-3.yaml").write_text(ENTRY.replace("Wanted", "other"))
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, stdin=subprocess.DEVNULL)
    snapshot = read_database(tmp_path, ["wanted", "unheard-of"])
    assert snapshot.advisories == (Advisory("PYSEC-1", "wanted", ("CVE-1",), (("0", "1.5"), ("2", "")), frozenset()),)
    assert snapshot.packages == {"wanted", "unheard-of"}


GO_ENTRY = {
    "id": "GO-1",
    "aliases": ["CVE-1"],
    "affected": [
        {
            "package": {"ecosystem": "Go", "name": name},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "1.2.0"}]}],
        }
        for name in ("example.com/Wanted", "example.com/other")
    ],
}


def test_a_snapshot_is_taken_from_the_module_that_holds_go_s_database(tmp_path: Path) -> None:
    module = tmp_path / "vulndb@v0.0.0-20260102030405-c0ffeec0ffee"
    (module / "data" / "osv").mkdir(parents=True)
    (module / "data" / "osv" / "GO-1.json").write_text(json.dumps(GO_ENTRY))
    (module / "data" / "osv" / "GO-2.json").write_text(json.dumps(GO_ENTRY | {"withdrawn": "2026-01-01T00:00:00Z"}))
    snapshot = read_go_database(module, ["example.com/Wanted"])
    expected = Advisory("GO-1", "example.com/Wanted", ("CVE-1",), (("0", "1.2.0"),), frozenset(), "Go")
    assert snapshot == Snapshot(
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "c0ffeec0ffee", (expected,), frozenset({"example.com/Wanted"}), GO
    )


def test_modules_are_those_that_go_mod_names_but_for_our_own(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "go.mod").write_text("module a.b/c\n\ngo 1.23\n\nrequire d.e/f v1.2.3\n")
    (tmp_path / "inner" / "go.mod").write_text(
        "module a.b/c/inner\n\nrequire (\n\ta.b/c v0.0.0\n\td.e/f v1.2.4\n\tg.h/i v0.1.0 // indirect\n)\n\n"
        "replace a.b/c => ..\n"
    )
    assert required(tmp_path) == {"d.e/f": {"1.2.3", "1.2.4"}, "g.h/i": {"0.1.0"}}


def test_a_list_names_each_package_once_and_what_it_needs() -> None:
    packages = needed_by(("server",))
    first, second = (
        document(
            packages, Licences.load(), kind="application", at="2026-01-01T00:00:00Z", others=console_components()
        )
        for _ in range(2)
    )
    assert first == second, "the same for the same inputs"
    refs = [component["bom-ref"] for component in first["components"]]
    assert len(refs) == len(set(refs))
    known = {*refs, first["metadata"]["component"]["bom-ref"]}
    assert {one["ref"] for one in first["dependencies"]} == known
    assert all(set(one["dependsOn"]) <= known for one in first["dependencies"])
    assert all(component.get("licenses") for component in first["components"])
    assert {"pkg:npm/preact", "pkg:npm/swagger-ui-dist"} <= {ref.rpartition("@")[0] for ref in refs}
    assert f"pkg:pypi/asyncpg@{packages['asyncpg'].version}" in refs


def test_provenance_names_what_was_built_and_from_what(tmp_path: Path) -> None:
    built = tmp_path / "a.whl"
    built.write_bytes(b"a wheel")
    said = statement([built])
    assert [(one["name"], len(one["digest"]["sha256"])) for one in said["subject"]] == [("a.whl", 64)]
    inputs = {one["name"] for one in said["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert {"source", "requirements.lock", "pyproject.toml"} <= inputs
    assert str(ROOT) not in json.dumps(said)


def test_a_signature_is_good_for_the_file_that_was_signed(tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen isn't on PATH")
    key, said = tmp_path / "key", tmp_path / "provenance.json"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    said.write_text("{}")
    signature = sign(said, key)
    (tmp_path / "signers").write_text(f"builder {key.with_suffix('.pub').read_text()}")
    verify = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-I", "builder", "-n", NAMESPACE]

    def is_good(content: bytes) -> bool:
        checked = subprocess.run([*verify, "-s", str(signature)], input=content, capture_output=True, check=False)
        return checked.returncode == 0

    assert is_good(b"{}")
    assert not is_good(b"{ }")
