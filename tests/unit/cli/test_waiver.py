# SPDX-License-Identifier: Apache-2.0
"""`signer waiver`: from a denial to a signed request, an approval, a list and an end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from policy.decision import Offender
from signer.formats.dsse import verify_envelope
from signer.formats.waiver import read_waiver
from tests.unit.cli.conftest import FakeAuthority, Signer, answered
from tests.waivers import KEYS, signed, waiver

REQUEST = "5d41402abc4b2a76b9719d911017c592"
DIGEST, SECOND = "9c" * 32, "ab" * 32


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name, key in KEYS.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.pem").write_bytes(pem)
    return tmp_path


def denial(*findings: dict[str, Any]) -> dict[str, Any]:
    return {
        "policy": {"name": "demo", "version": 1, "digest": "cd" * 32},
        "environment": "release",
        "subjects": [{"name": "a", "digest": {"sha256": DIGEST}}, {"name": "b", "digest": {"sha256": SECOND}}],
        "findings": list(findings),
    }


def failure(**changes: Any) -> dict[str, Any]:
    finding = {
        "rule": "VUL-1",
        "outcome": "fail",
        "found": "a scan: 2 high",
        "subjects": [0],
        "offenders": [{"id": "CVE-2", "package": None}, {"id": "CVE-1", "package": "pkg:pypi/x@1"}],
    }
    return {**finding, **changes}


def asked(keys: Path, *more: str, by: str = "bob") -> tuple[object, ...]:
    return (
        *("waiver", "request", "--rule", "VUL-1", "--reason", "not reachable", "--ticket", "SEC-1"),
        *("--requested-by", by, "--approved-by", "alice", "--expires-in", "14d", "--origin", "sign.example/a"),
        *("--key", keys / f"{by}.pem", "--out", keys / "waiver.json"),
        *more,
    )


def test_a_request_takes_all_that_is_wrong_from_the_denial(
    signer: Signer, authority: FakeAuthority, keys: Path
) -> None:
    authority.answers = [denial(failure())]
    ran = signer(*asked(keys, "--decision", REQUEST, "--max-uses", "3", "--repository", "github.com/acme/shop"))
    assert ran.code == 0, ran.err
    envelope, statement = read_waiver((keys / "waiver.json").read_bytes())
    assert statement.offenders == (Offender(id="CVE-1", package="pkg:pypi/x@1"), Offender(id="CVE-2"))
    assert (statement.digests, statement.repositories) == ((DIGEST,), ("github.com/acme/shop",))
    assert (statement.policy, statement.environment, statement.outcome) == ("demo", "release", "fail")
    assert (statement.origin, statement.max_uses, statement.found) == ("sign.example/a", 3, None)
    assert statement.expires - statement.not_before == timedelta(days=14)
    assert verify_envelope(envelope, {name: key.public_key() for name, key in KEYS.items()}) == {"bob"}
    assert "CVE-1 in pkg:pypi/x@1, CVE-2" in ran.err
    assert "signer waiver approve" in ran.err
    assert [(name, arguments) for name, arguments, _ in authority.asked] == [("decision", (REQUEST,))]


def test_a_request_for_a_finding_without_offenders_quotes_what_was_found(
    signer: Signer, authority: FakeAuthority, keys: Path
) -> None:
    authority.answers = [denial(failure(outcome="unknown", found="nothing", offenders=[], subjects=[0, 1]))]
    assert signer(*asked(keys, "--decision", REQUEST)).code == 0
    _, statement = read_waiver((keys / "waiver.json").read_bytes())
    assert (statement.outcome, statement.found, statement.offenders) == ("unknown", "nothing", ())
    assert statement.digests == (SECOND, DIGEST) if SECOND < DIGEST else (DIGEST, SECOND)


def test_a_request_without_a_denial_says_everything_itself_and_opens_no_connection(signer: Signer, keys: Path) -> None:
    options = ("--policy", "demo", "--environment", "release", "--subject", f"sha256:{DIGEST}")
    ran = signer(*asked(keys, *options, "--offender", "CVE-1 in pkg:pypi/x@1", "--renews", f"sha256:{SECOND}"))
    assert ran.code == 0, ran.err
    _, statement = read_waiver((keys / "waiver.json").read_bytes())
    assert statement.offenders == (Offender(id="CVE-1", package="pkg:pypi/x@1"),)
    assert (statement.renews, statement.max_uses) == (SECOND, 1)


STAGE = ("--policy", "demo", "--environment", "release")
REFUSED: dict[str, tuple[tuple[str, ...], list[dict[str, Any]], str]] = {
    "a rule that passed": (("--decision", REQUEST), [failure(rule="BLD-1")], "nothing-to-waive"),
    "a rule that ended in two ways": (
        ("--decision", REQUEST),
        [failure(), failure(outcome="unknown", subjects=[1])],
        "nothing-to-waive",
    ),
    "a denial and its words": (("--decision", REQUEST, "--found", "x"), [], "usage"),
    "neither a denial nor its parts": ((), [], "usage"),
    "nothing to excuse": (STAGE, [], "usage"),
    "no scope": ((*STAGE, "--offender", "CVE-1"), [], "malformed-waiver"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_no_request_for(
    signer: Signer, authority: FakeAuthority, keys: Path, case: tuple[tuple[str, ...], list[dict[str, Any]], str]
) -> None:
    options, findings, told = case
    authority.answers = [denial(*findings)]
    ran = signer(*asked(keys, *options))
    assert (ran.code, f"[{told}]" in ran.err) == (2, True), ran.err
    assert not (keys / "waiver.json").exists()


def test_an_approval_adds_a_signature_and_has_the_waiver_recorded(
    signer: Signer, authority: FakeAuthority, keys: Path
) -> None:
    statement = waiver()
    (keys / "waiver.json").write_bytes(signed(statement, "bob"))
    authority.answers = [{"leaf": 12, "digest": statement.digest}]
    ran = signer("waiver", "approve", keys / "waiver.json", "--key", keys / "alice.pem", "-o", "json")
    assert (ran.code, ran.document["leaf"], ran.document["digest"]) == (0, 12, statement.digest)
    ((name, (envelope,), _),) = authority.asked
    assert name == "record_waiver"
    assert isinstance(envelope, bytes)
    people = {name: key.public_key() for name, key in KEYS.items()}
    assert verify_envelope(read_waiver(envelope)[0], people) == {"alice", "bob"}


def test_a_signature_made_elsewhere_is_joined_and_kept_in_a_file(signer: Signer, keys: Path) -> None:
    statement = waiver()
    (keys / "waiver.json").write_bytes(signed(statement, "bob"))
    (keys / "elsewhere").write_bytes(signed(statement, "alice"))
    ran = signer(
        *("waiver", "approve", keys / "waiver.json", "--signature", keys / "elsewhere", "--out", keys / "both.json")
    )
    assert ran.code == 0, ran.err
    people = {name: key.public_key() for name, key in KEYS.items()}
    assert verify_envelope(read_waiver((keys / "both.json").read_bytes())[0], people) == {"alice", "bob"}


def test_no_approval_without_a_signature_or_over_another_waiver(signer: Signer, keys: Path) -> None:
    (keys / "waiver.json").write_bytes(signed(waiver(), "bob"))
    (keys / "other").write_bytes(signed(waiver(max_uses=9), "alice"))
    assert "[usage]" in signer("waiver", "approve", keys / "waiver.json").err
    ran = signer("waiver", "approve", keys / "waiver.json", "--signature", keys / "other", "--out", keys / "both.json")
    assert (ran.code, "[malformed-waiver]" in ran.err) == (2, True)


def test_a_refusal_and_an_answer_about_another_waiver_are_no_success(
    signer: Signer, authority: FakeAuthority, keys: Path
) -> None:
    (keys / "waiver.json").write_bytes(signed(waiver(), "bob"))
    command = ("waiver", "approve", keys / "waiver.json", "--key", keys / "alice.pem")
    for code, status, expected in (("waiver-one-person", 403, 4), ("waiver-renewal", 409, 2)):
        authority.answers = [answered(status, code)]
        ran = signer(*command)
        assert (ran.code, f"[{code}]" in ran.err) == (expected, True)
    authority.answers = [{"leaf": 12, "digest": "00" * 32}]
    assert signer(*command).code == 20


def test_the_list_shows_each_waiver_on_a_line_and_hides_what_ended(signer: Signer, authority: FakeAuthority) -> None:
    row = {
        "digest": DIGEST,
        "state": "expiring",
        "uses": 1,
        "statement": {
            "rules": ["VUL-1"],
            "match": {"offenders": [{"id": "CVE-\x1b[31m1"}]},
            "policy": "demo",
            "environment": "release",
            "expires": "2026-12-20T00:00:00Z",
            "maxUses": 3,
            "requestedBy": "bob",
            "approvedBy": "alice",
            "ticket": "SEC-1",
        },
    }
    answer = {"waivers": [row, {**row, "state": "ended", "digest": SECOND}, "nonsense"]}
    authority.answers = [answer, answer]
    ran = signer("waiver", "list", "--policy", "demo")
    (line,) = ran.out.splitlines()
    assert line.startswith(f"expiring   sha256:{DIGEST}  VUL-1  CVE-")
    assert "\x1b" not in line
    assert "use 1 of 3  bob, approved by alice  SEC-1" in line
    assert authority.asked[0][1] == ({"policy": "demo"},)
    assert len(signer("waiver", "list", "--all").out.splitlines()) == 2


def test_an_end_names_the_waiver_and_the_reason(signer: Signer, authority: FakeAuthority) -> None:
    authority.answers = [{"leaf": 13, "digest": DIGEST}]
    ran = signer("waiver", "end", f"sha256:{DIGEST}", "--reason", "mended")
    assert (ran.code, "leaf 13" in ran.err) == (0, True)
    assert authority.asked == [("end_waiver", (DIGEST,), {"reason": "mended"})]
