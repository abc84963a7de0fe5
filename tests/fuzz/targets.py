# SPDX-License-Identifier: Apache-2.0
"""What is fed with bytes, from which good inputs the bytes are made, and what must hold for every one of them."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from gunicorn import http
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData

from policy.document import parse_policy
from policy.schema import PolicyError
from policy.trust import Accept
from signer.dev.attestations import attest, provenance_statement, sbom_statement, scan_statement, suite_statement
from signer.domain.subject import Subject
from signer.errors import Malformed, Refused
from signer.evidence.predicates import read_predicate
from signer.evidence.verifier import PinnedRoot, TrustedKeys, VerifiedAttestation, verify_item
from signer.formats import cosign_vuln, openvex, provenance_v02
from signer.formats.bundle import build_bundle
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.dsse import IN_TOTO, parse_envelope
from signer.formats.fulcio import read_identity
from signer.formats.spki import keyid, spki_der, spki_pem
from signer.formats.statement import build_statement, parse_statement
from signer.formats.strict_json import parse_json
from signer.identity.access import parse_access
from signer.identity.certificate import caller_san
from signer.identity.spiffe import is_spiffe_id
from signer.web.wsgi.worker import refusal
from tests.unit.evidence.private_instance import PrivateInstance
from tests.unit.formats.test_scanner_reports import GRYPE, OSV, TRIVY
from tests.unit.identity.test_certificate import certificate
from tests.unit.web.world import ACCESS, Keys, build_world, render_policy

LIMIT = 1024 * 1024
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SUBJECTS = [Subject.parse(f"shop@sha256:{'a' * 64}")]


@dataclass(frozen=True, slots=True)
class Target:
    """One way in. `feed` returns for every answer that is allowed, and raises for every other one."""

    about: str
    seeds: Callable[[], Sequence[bytes]]
    prepare: Callable[[], Callable[[bytes], None]]
    """Makes what `feed` needs, once for a process."""


# The JSON loader: what it accepts, the standard library reads as the same value.


def _json_seeds() -> Sequence[bytes]:
    values: list[Any] = [{}, [], [1, -0.5, 1e300, True, None, "\u00e9\U0001f600"], {"a": {"b": [{}]}, "c": "\\"}, "", 0]
    return [*(json.dumps(value).encode() for value in values), b'{"a":1,"\\u0061":2}', b"[1e999]", b'["\\ud800"]']


def _feed_json(data: bytes) -> None:
    try:
        value = parse_json(data, limit=LIMIT)
    except Malformed:
        return
    assert same(value, json.loads(data.decode("utf-8"))), "two readers, two values"


def same(one: Any, other: Any) -> bool:
    """Equal, with types: 1 is not True and not 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (isinstance(one, float) and math.isclose(one, other, rel_tol=1e-15))


# Envelopes and bundles: what verifies holds bytes that were signed.


@cache
def _statements() -> Sequence[bytes]:
    before = NOW - timedelta(hours=1)
    vex = {"@context": "https://openvex.dev/ns/v0.2.0", "@id": "a", "author": "a", "version": 1, "statements": []}
    claims: list[tuple[str, dict[str, Any]]] = [
        (openvex.PREDICATE_TYPE, {**vex, "timestamp": "2026-11-23T09:00:00Z"}),
        (provenance_v02.PREDICATE_TYPE, {"builder": {"id": "a"}, "buildType": "b", "invocation": {}}),
        *((cosign_vuln.PREDICATE_TYPE, {"scanner": {"result": report}}) for report in (GRYPE, TRIVY, OSV)),
        ("https://cyclonedx.org/bom", {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "a"}]}),
    ]
    return [
        provenance_statement(SUBJECTS, finished=before),
        scan_statement(SUBJECTS, finished=before, vulnerabilities=[("CVE-1", "high")]),
        suite_statement(SUBJECTS, passed=2),
        sbom_statement(SUBJECTS, created=before),
        *(build_statement(SUBJECTS, predicate_type=kind, predicate=claim) for kind, claim in claims),
    ]


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _envelope_seeds() -> Sequence[bytes]:
    signed = [attest(statement, _key()) for statement in _statements()[:3]]
    opened = [parse_envelope(envelope) for envelope in signed]
    kid = keyid(spki_der(_key().public_key()))
    bundles = [
        build_bundle(payload_type=IN_TOTO, payload=each.payload, keyid=kid, signature=each.signatures[0].sig)
        for each in opened
    ]
    return [*signed, *bundles]


def _envelope() -> Callable[[bytes], None]:
    return _verifying(TrustedKeys.of({"ci": spki_pem(_key().public_key())}))


def _keyless_seeds() -> Sequence[bytes]:
    return [_instance().bundle(statement) for statement in _statements()[:3]]


def _keyless() -> Callable[[bytes], None]:
    return _verifying(TrustedKeys({}, {}, {"own": PinnedRoot("own", _instance().trusted_root())}))


@cache
def _instance() -> PrivateInstance:
    return PrivateInstance(Path(tempfile.mkdtemp(prefix="signer-fuzz-")))


def _verifying(trusted: TrustedKeys) -> Callable[[bytes], None]:
    signed = {sha256_hex(statement) for statement in _statements()[:3]}

    def feed(data: bytes) -> None:
        try:
            item = verify_item(data, trusted)
        except Malformed:
            return
        assert not isinstance(item, VerifiedAttestation) or item.payload in signed, "verified what nobody signed"

    return feed


# Statements and all predicates, as if somebody trusted had signed them.


def _feed_statement(data: bytes) -> None:
    with suppress(Malformed):
        statement = parse_statement(data, old=True)
        for subject in statement.subjects:
            assert all(value == value.lower() for value in subject.artifact.values())
        read_predicate(statement, Accept(statements=("v0.1",), provenance=("v0.2",)))


# Certificates: of a caller, and of whoever signed keylessly.


def _certificate_seeds() -> Sequence[bytes]:
    issuer = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8"), b"\x0c\x11https://a.invalid")
    return [
        certificate("spiffe://dev.invalid/robot/ci"),
        certificate("spiffe://dev.invalid/a", "spiffe://dev.invalid/b"),
        certificate(names=(x509.RFC822Name("a@dev.invalid"),)),
        certificate("https://github.com/a/b/.github/workflows/c.yml@refs/heads/main", extensions=(issuer,)),
    ]


def _feed_certificate(data: bytes) -> None:
    with suppress(Refused):
        assert is_spiffe_id(caller_san(data))
    try:
        parsed = x509.load_der_x509_certificate(data)
    except (ValueError, x509.InvalidVersion):
        return  # whatever stops the check of a bundle's certificate means that it is not verified
    with suppress(Malformed):
        read_identity(parsed, root="public-good")


# Activated documents.


def _policy_seeds() -> Sequence[bytes]:
    return [render_policy(_keys())]


@cache
def _keys() -> Keys:
    return Keys.make()


def _feed_policy(data: bytes) -> None:
    try:
        read = parse_policy(data)
    except PolicyError:
        return
    assert read.digest == sha256_hex(data)
    assert read.environments


def _feed_access(data: bytes) -> None:
    with suppress(Malformed):
        parse_access(data)


# The HTTP API: caller's bytes alone are never answered with 5xx.

ROUTES = (
    ("POST", "/v1/signatures"), ("POST", "/v1/checks"), ("POST", "/v1/evidence"), ("POST", "/v1/policies"),
    ("POST", "/v1/access"), ("POST", "/v1/halt"), ("POST", "/v1/resume"), ("GET", "/v1/decisions?"),
    ("GET", "/v1/decisions/"), ("GET", "/v1/evidence/"), ("GET", "/v1/keys/"), ("GET", "/tile/"), ("GET", "/v1/"),
    ("DELETE", "/"),
    ("POST", "/v1/uploads"),
)  # fmt: skip
CALLERS = ("robot/ci", "robot/auditor", "person/olga", "robot/nobody")
TYPES = (
    "application/json",
    "application/octet-stream",
    "text/plain",
    "application/json; charset=utf-16",
    "multipart/form-data; boundary=a",
)


def _http_seeds() -> Sequence[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        world = build_world(Path(folder), keys=_keys())
        good = canonical(world.body())
        less = canonical(world.body(world.attestations().popitem()[1:]))
    texts = [good, less, canonical({"policy": "demo", "evidence": []}), canonical({"reason": "x"}),
             canonical({"halt_index": 1, "signatures": ["e30="]}), b"since=2026-11-23T00:00:00Z&limit=3", b"0" * 64,
             b"0/x001/234", b""]  # fmt: skip
    return [bytes((place * 7 + 13, number)) + text for place in range(len(ROUTES)) for number, text in enumerate(texts)]


def _http() -> Callable[[bytes], None]:
    # Kept for the life of the process: it is the ledger of the world.
    world = build_world(Path(tempfile.mkdtemp(prefix="signer-fuzz-")), keys=_keys())
    client = world.client()

    def feed(data: bytes) -> None:
        head, body = data[:2].ljust(2, b"\0"), data[2:]
        method, path = ROUTES[head[0] % len(ROUTES)]
        world.san = f"spiffe://dev.invalid/{CALLERS[head[1] % len(CALLERS)]}"
        if method == "POST":
            answer = client.post(path, data=body, content_type=TYPES[head[1] // 4 % len(TYPES)])
        else:
            safe = "=&/?%" if path.endswith("?") else "/"
            answer = client.open(path + quote(body[:2000], safe=safe), method=method)
        world.custodian.asked.clear()
        world.log.truncate(0)
        world.log.seek(0)
        assert answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.data[:300]!r}"
        if answer.status_code >= 400:
            assert answer.content_type == "application/problem+json", answer.content_type

    return feed


# What gunicorn reads before the application: it ends in requests, or in a refusal in our own words.


def _wire_seeds() -> Sequence[bytes]:
    head = b"POST /v1/checks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return [
        b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
        head + b"Content-Length: 2\r\n\r\n{}",
        head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n",
        head + b"X_Forwarded: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: b\r\n\r\n",
    ]


def _wire() -> Callable[[bytes], None]:
    config = Config()
    for name, value in {
        "limit_request_line": 4094,
        "limit_request_fields": 50,
        "limit_request_field_size": 8190,
        "forwarder_headers": "",
        "forwarded_allow_ips": "",
        "header_map": "refuse",
        "http_parser": "python",
    }.items():
        config.set(name, value)

    def feed(data: bytes) -> None:
        parser: Any = http.get_parser(config, [data], ("127.0.0.1", 1))
        for _ in range(8):
            try:
                request = next(parser)
                while request.body is not None and request.body.read(4096):
                    pass
            except (StopIteration, NoMoreData):
                return
            except Exception as fault:
                if refusal(fault).code == "internal":
                    raise
                return

    return feed


def _plain(feed: Callable[[bytes], None]) -> Callable[[], Callable[[bytes], None]]:
    return lambda: feed


TARGETS: Mapping[str, Target] = {
    "json": Target("the one JSON loader", _json_seeds, _plain(_feed_json)),
    "envelope": Target("DSSE envelopes and Sigstore bundles, verified", _envelope_seeds, _envelope),
    "keyless": Target("bundles with a certificate, under a pinned root", _keyless_seeds, _keyless),
    "statement": Target("statements and every predicate", _statements, _plain(_feed_statement)),
    "certificate": Target("identities in certificates", _certificate_seeds, _plain(_feed_certificate)),
    "policy": Target("the policy document", _policy_seeds, _plain(_feed_policy)),
    "access": Target("the access document", lambda: [ACCESS.encode()], _plain(_feed_access)),
    "http": Target("every resource of the API", _http_seeds, _http),
    "wire": Target("bytes of a connection before they are a request", _wire_seeds, _wire),
}
