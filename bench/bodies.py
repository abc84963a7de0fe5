# SPDX-License-Identifier: Apache-2.0
"""Requests for the pipeline: each with a subject of its own and three signed attestations of about 20 KB.

Imports nothing of the product: the statements are what a pipeline's own tools would write.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PAYLOAD_TYPE = "application/vnd.in-toto+json"
PAYLOAD_BYTES = 20_000
BUILDER_ID = "https://builds.example.com/bench"
BUILD_TYPE = "https://builds.example.com/types/release/v1"

POLICY = """\
schema: signing-policy/v1
metadata: {{name: demo, version: 1, owner: bench}}
defaults: {{maxEvidenceAge: 7d, clockSkew: 2m}}
trust:
  keys:
    builder: |
{builder}
    scanner: |
{scanner}
  builders:
    bench-builder:
      {{key: builder, id: "{builder_id}", isolation: ephemeral, network: restricted, identity: workload,
        broadAccess: false}}
  testers: {{bench-tester: {{key: builder}}}}
  scanners: {{bench-scanner: {{key: scanner, maxDatabaseAge: 2d}}}}
rules:
  - {{id: BLD-1, type: build.provenance, control: build, level: minimum, builders: [bench-builder],
     buildTypes: ["{build_type}"], parameters: {{allow: [target]}}}}
  - {{id: TST-1, type: tests.passed, control: build, level: minimum, testers: [bench-tester], suites: [unit],
     maxFailed: 0}}
  - {{id: VUL-1, type: vulns.threshold, control: artifact, level: better, scanners: [bench-scanner],
     deny: {{critical: 0, high: 0}}, maxAge: 2d}}
environments:
  release: {{require: ["*"], key: release, formats: [vsa]}}
"""

ACCESS = """\
schema: signing-access/v1
metadata: {name: access, version: 1}
robots:
  - {id: ci, sans: ["spiffe://dev.invalid/robot/ci"]}
grants:
  - {to: "robot:ci", actions: [sign, check, evidence, read], policies: [demo], environments: [release],
     repositories: ["*"]}
quotas:
  - {to: "robot:ci", requestsPerMinute: 1000000, evidenceBytes: 17179869184}
"""


@dataclass(frozen=True, slots=True)
class Workshop:
    """The keys of the pipeline's tools, and the requests that they make."""

    builder: ec.EllipticCurvePrivateKey
    scanner: ec.EllipticCurvePrivateKey

    @classmethod
    def open(cls) -> Workshop:
        return cls(*(ec.generate_private_key(ec.SECP256R1()) for _ in range(2)))

    def policy(self) -> str:
        """A policy that each request of this workshop satisfies."""
        builder, scanner = (indented(key) for key in (self.builder, self.scanner))
        return POLICY.format(builder=builder, scanner=scanner, builder_id=BUILDER_ID, build_type=BUILD_TYPE)

    def body(self, number: int) -> bytes:
        """The body of POST /v1/signatures for artifact `number`."""
        name, digest = f"artifact-{number}.tar.gz", hashlib.sha256(f"artifact {number}".encode()).hexdigest()
        now = datetime.now(UTC).replace(microsecond=0)
        evidence = [
            seal(self.builder, statement(name, digest, "https://slsa.dev/provenance/v1", provenance(number, now))),
            seal(self.builder, statement(name, digest, "https://in-toto.io/attestation/test-result/v0.1", tests())),
            seal(self.scanner, statement(name, digest, "https://in-toto.io/attestation/vulns/v0.2", scan(now))),
        ]
        request = {
            "policy": "demo",
            "environment": "release",
            "subjects": [{"name": name, "digest": {"sha256": digest}}],
            "evidence": [{"content": base64.b64encode(item).decode()} for item in evidence],
        }
        return json.dumps(request).encode()


def indented(key: ec.EllipticCurvePrivateKey) -> str:
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "\n".join(f"      {line}" for line in pem.decode().splitlines())


def statement(name: str, digest: str, kind: str, predicate: Mapping[str, Any]) -> bytes:
    subject = [{"name": name, "digest": {"sha256": digest}}]
    return json.dumps(
        {"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": kind, "predicate": predicate}
    ).encode()


def provenance(number: int, now: datetime) -> Mapping[str, Any]:
    """SLSA provenance with some eighty resolved dependencies."""
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"target": "release"},
            "resolvedDependencies": filled(lambda entry: dependency(number, entry)),
        },
        "runDetails": {
            "builder": {"id": BUILDER_ID},
            "metadata": {"startedOn": stamp(now - timedelta(minutes=5)), "finishedOn": stamp(now)},
        },
    }


def dependency(number: int, entry: int) -> Mapping[str, Any]:
    name = f"part-{entry}"
    return {
        "name": name,
        "uri": f"https://packages.example.com/mirror/{name}/-/{name}-1.{number}.3.tgz",
        "digest": {"sha512": hashlib.sha512(f"{number}/{name}".encode()).hexdigest()},
    }


def tests() -> Mapping[str, Any]:
    """A test result that lists what passed."""
    return {
        "result": "PASSED",
        "configuration": [{"name": "unit"}],
        "passedTests": filled(lambda entry: f"tests/unit/test_shop.py::test_case_{entry}_behaves_as_the_page_says"),
        "failedTests": [],
    }


def scan(now: datetime) -> Mapping[str, Any]:
    """A scan that found only low vulnerabilities, each with an annotation."""
    return {
        "scanner": {
            "uri": "https://scans.example.com/scanner",
            "version": "1.2.3",
            "db": {"uri": "https://scans.example.com/db", "lastUpdate": stamp(now - timedelta(hours=6))},
            "result": filled(vulnerability),
        },
        "metadata": {"scanStartedOn": stamp(now - timedelta(minutes=1)), "scanFinishedOn": stamp(now)},
    }


def vulnerability(entry: int) -> Mapping[str, Any]:
    return {
        "id": f"CVE-2026-{10_000 + entry}",
        "severity": [{"method": "cvss_score", "score": "3.1"}],
        "annotations": [{"package": f"part-{entry}", "installed": "1.2.3", "note": "not reachable from the shop " * 8}],
    }


def filled(entry: Callable[[int], Any]) -> list[Any]:
    """As many entries as fit into a payload of 20 KB."""
    count = PAYLOAD_BYTES // (len(json.dumps(entry(0))) + 2)
    return [entry(place) for place in range(count)]


def stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def seal(key: ec.EllipticCurvePrivateKey, payload: bytes) -> bytes:
    """The DSSE envelope around a statement."""
    signature = key.sign(pae(payload), ec.ECDSA(hashes.SHA256()))
    sealed = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": "bench", "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(sealed).encode()


def pae(payload: bytes) -> bytes:
    """DSSE v1 pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
