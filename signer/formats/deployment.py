# SPDX-License-Identifier: Apache-2.0
"""A deployment: what reached which environment, by which name, and what its gate verified; and its CDEvents body.

The body of POST /v1/deployments; `digest` is left out for a bare tag, `gate` is null when nothing was verified:

    {"approval":"","at":"2026-11-23T10:00:00.000000Z","digest":"sha256:9c56…","environment":"production",
     "gate":{"reason":"","receipt":"<sha256>","result":"passed","time":"…","verifier":"signer 0.1.0"},
     "policy":"demo","reference":"registry.example/shop:1.2","status":"deployed"}

On its way out a deployment is an event of CDEvents (`service.deployed` 0.3.0); a gate that refused is a custom event,
as that specification names events of one tool.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec

from signer.errors import Malformed
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.shape import read_shape
from signer.formats.strict_json import parse_object

DEPLOYED: Final = "deployed"
REFUSED: Final = "refused"
PASSED: Final = "passed"
FAILED: Final = "failed"
MAX_BODY = 64 * 1024
MAX_REFERENCE = 512
MAX_APPROVAL = 256
MAX_VERIFIER = 128
CDEVENTS: Final = "0.5.0"
EVENT: Final = "dev.cdevents.service.deployed.0.3.0"
REFUSED_EVENT: Final = "dev.cdeventsx.signing-authority-gate.refused.0.1.0"

_CODE = "invalid-deployment"
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_REASON = re.compile(r"[a-z0-9-]{0,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PINNED = re.compile(r"@sha256:([0-9a-f]{64})$")
_TAG = re.compile(r":[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What the deployment system verified before it went on; `receipt` is a sha256, empty when none was given."""

    verifier: str
    result: str
    reason: str
    receipt: str
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deployment as it is told; `sha256` is empty when it named none."""

    policy: str
    environment: str
    status: str
    reference: str
    sha256: str
    at: datetime
    approval: str
    gate: Gate | None

    @property
    def id(self) -> str:
        """sha256 of all that is told: what is told twice is one deployment."""
        return sha256_hex(self.body())

    def body(self) -> bytes:
        """The body of the request that records it."""
        return canonical(self.value())

    def value(self) -> dict[str, Any]:
        """The same as JSON values."""
        told: dict[str, Any] = {
            "policy": self.policy,
            "environment": self.environment,
            "status": self.status,
            "reference": self.reference,
            "at": format_time(self.at),
            "approval": self.approval,
            "gate": None
            if self.gate is None
            else {
                "verifier": self.gate.verifier,
                "result": self.gate.result,
                "reason": self.gate.reason,
                "receipt": self.gate.receipt,
                "time": format_time(self.gate.time),
            },
        }
        return told | ({"digest": f"sha256:{self.sha256}"} if self.sha256 else {})


class _Gate(msgspec.Struct, forbid_unknown_fields=True):
    verifier: str
    result: str
    reason: str
    receipt: str
    time: str


class _Deployment(msgspec.Struct, forbid_unknown_fields=True):
    policy: str
    environment: str
    status: str
    reference: str
    at: str
    approval: str
    gate: _Gate | None
    digest: str = ""


def parse_deployment(data: bytes) -> Deployment:
    """Read what `Deployment.body` wrote; raises Malformed."""
    value = parse_object(data, limit=MAX_BODY, what="deployment")
    wire = read_shape(value, _Deployment, what="deployment", code=_CODE)
    gate = wire.gate
    told = Deployment(
        policy=wire.policy,
        environment=wire.environment,
        status=wire.status,
        reference=wire.reference,
        sha256=wire.digest.removeprefix("sha256:"),
        at=parse_time(wire.at, what="at", code=_CODE),
        approval=wire.approval,
        gate=None
        if gate is None
        else Gate(
            verifier=gate.verifier,
            result=gate.result,
            reason=gate.reason,
            receipt=gate.receipt,
            time=parse_time(gate.time, what="time of the gate", code=_CODE),
        ),
    )
    require_deployment(told)
    return told


def require_deployment(told: Deployment) -> None:
    """Raises Malformed("invalid-deployment") for words that cannot stand in a record."""
    pinned = pinned_digest(told.reference)
    bounds = (
        ("status", told.status in (DEPLOYED, REFUSED)),
        ("reference", len(told.reference) <= MAX_REFERENCE and _VISIBLE.fullmatch(told.reference) is not None),
        ("digest", told.sha256 == "" or _SHA256.fullmatch(told.sha256) is not None),
        ("digest, which differs from that of the reference", pinned in ("", told.sha256)),
        ("approval", len(told.approval) <= MAX_APPROVAL and _PRINTABLE.fullmatch(told.approval) is not None),
        ("gate", told.gate is None or _is_sound(told.gate)),
    )
    for name, holds in bounds:
        if not holds:
            raise Malformed(
                _CODE,
                f"the deployment has an unusable {name}",
                remedy="a reference is 1 to 512 visible characters; see docs/how-to/gate-a-deployment.md",
            )


def pinned_digest(reference: str) -> str:
    """The sha256 at the end of NAME@sha256:HEX; empty when there is none."""
    found = _PINNED.search(reference)
    return found[1] if found is not None else ""


def name_of(reference: str) -> str:
    """The name in a reference, without its digest and its tag: a port is no tag."""
    name = _PINNED.sub("", reference)
    head, slash, last = name.rpartition("/")
    return head + slash + _TAG.sub("", last)


def cd_event(told: Deployment, *, leaf: int, recorded: str, origin: str) -> Mapping[str, Any]:
    """The event for other systems; `leaf` and `recorded` say where and when the ledger has it."""
    name = name_of(told.reference)
    base = name.rpartition("/")[2]
    identity = f"@{quote(f'sha256:{told.sha256}', safe='')}" if told.sha256 else ""
    content: dict[str, Any] = {
        "environment": {"id": told.environment, "source": f"https://{origin}/policies/{told.policy}"},
        # A purl needs a version that identifies; a bare tag identifies nothing, so there is none.
        "artifactId": f"pkg:oci/{quote(base.lower(), safe='')}{identity}",
    }
    return {
        "context": {
            "specversion": CDEVENTS,
            "id": told.id,
            "source": f"https://{origin}",
            "type": EVENT if told.status == DEPLOYED else REFUSED_EVENT,
            "timestamp": format_time(told.at),
        },
        "subject": {"id": name, "source": f"https://{origin}", "content": content},
        "customData": {"leaf": leaf, "recorded": recorded, **told.value()},
        "customDataContentType": "application/json",
    }


def _is_sound(gate: Gate) -> bool:
    passed = gate.result == PASSED
    return (
        gate.result in (PASSED, FAILED)
        and 0 < len(gate.verifier) <= MAX_VERIFIER
        and _PRINTABLE.fullmatch(gate.verifier) is not None
        and _REASON.fullmatch(gate.reason) is not None
        and passed == (gate.reason == "")
        and (gate.receipt == "" or _SHA256.fullmatch(gate.receipt) is not None)
    )
