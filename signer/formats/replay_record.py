# SPDX-License-Identifier: Apache-2.0
"""Recorded decisions as a file or a page: everything that a replay needs, and nothing that says who a person is.

One JSON object a line (JSON Lines); a policy stands before the first decision that names it:

    {"content":"<base64 of the policy document>","digest":"<sha256>","type":"signing-authority/policy/v1"}
    {"environment":"release","facts":"<base64>","findings":"<base64>","leaf":7,"policy":{"digest":"…","name":"demo",
     "version":1},"principal":"robot:ci","request_id":"…","time":"2026-11-23T10:00:00.000001Z",
     "type":"signing-authority/replay/v1","verdict":"deny"}

`facts` and `findings` are the exact bytes of the documents that the decision leaf names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from signer.errors import Malformed
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.shape import read_shape
from signer.formats.strict_base64 import decode_base64, encode_base64
from signer.formats.strict_json import parse_object

RECORD = "signing-authority/replay/v1"
POLICY = "signing-authority/policy/v1"
MEDIA_TYPE = "application/jsonl"
MAX_LINE = 64 * 1024 * 1024

_CODE = "malformed-record"


class RecordedPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The policy that a decision names."""

    name: str
    version: int
    digest: str


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["signing-authority/replay/v1"]
    leaf: int
    request_id: str
    time: str
    principal: str
    policy: RecordedPolicy
    environment: str
    verdict: Literal["allow", "deny", "hold"]
    facts: str
    findings: str


class _PolicyLine(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["signing-authority/policy/v1"]
    digest: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One recorded decision with its documents' bytes."""

    leaf: int
    request_id: str
    time: datetime
    principal: str
    policy: RecordedPolicy
    environment: str
    verdict: str
    facts: bytes
    findings: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRecord:
    """The bytes of a policy, already compared with their digest."""

    digest: str
    data: bytes


def encode_decision(record: DecisionRecord) -> bytes:
    """One line, without its end."""
    return canonical(
        {
            "type": RECORD,
            "leaf": record.leaf,
            "request_id": record.request_id,
            "time": format_time(record.time),
            "principal": record.principal,
            "policy": {
                "name": record.policy.name,
                "version": record.policy.version,
                "digest": record.policy.digest,
            },
            "environment": record.environment,
            "verdict": record.verdict,
            "facts": encode_base64(record.facts),
            "findings": encode_base64(record.findings),
        }
    )


def encode_policy(record: PolicyRecord) -> bytes:
    """One line, without its end."""
    return canonical({"type": POLICY, "digest": record.digest, "content": encode_base64(record.data)})


def parse_record(line: bytes) -> DecisionRecord | PolicyRecord:
    """Read one line; raises Malformed."""
    value = parse_object(line, limit=MAX_LINE, what="record")
    if value.get("type") == POLICY:
        return _policy(value)
    wire = read_shape(value, _Record, what="record", code=_CODE)
    return DecisionRecord(
        leaf=wire.leaf,
        request_id=wire.request_id,
        time=parse_time(wire.time, what="time of the record", code=_CODE),
        principal=wire.principal,
        policy=wire.policy,
        environment=wire.environment,
        verdict=wire.verdict,
        facts=decode_base64(wire.facts, what="facts document"),
        findings=decode_base64(wire.findings, what="findings document"),
    )


def _policy(value: Mapping[str, Any]) -> PolicyRecord:
    wire = read_shape(dict(value), _PolicyLine, what="record", code=_CODE)
    data = decode_base64(wire.content, what="policy document")
    if sha256_hex(data) != wire.digest:
        raise Malformed(_CODE, f"a policy of the records is not the one with sha256 {wire.digest[:64]}")
    return PolicyRecord(digest=wire.digest, data=data)
