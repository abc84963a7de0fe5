# SPDX-License-Identifier: Apache-2.0
"""Our decision as a SLSA verification summary (SLSA 1.2, spec/verification_summary.md).

    {"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"shop","digest":{"sha256":"9c56…"}}],
     "predicateType":"https://slsa.dev/verification_summary/v1",
     "predicate":{"verifier":{"id":"https://<origin>","version":{"signing-authority":"0.1.0"}},
       "timeVerified":"2026-11-23T10:00:00.000001Z","resourceUri":"https://<origin>/demo/release",
       "policy":{"uri":"https://<origin>/policies/demo","digest":{"sha256":"…"}},
       "inputAttestations":[{"digest":{"sha256":"…"}}],"verificationResult":"PASSED",
       "verifiedLevels":["AUTHORITY_BUILD_MINIMUM"],"slsaVersion":"1.2",
       "urn:signing-authority:request":"<request id>"}}

The resource URI binds the environment, `timeVerified` is the judged instant. A document of the dev authority
also carries `"urn:signing-authority:dev":true` and the level DEV_UNTRUSTED.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.shape import read_shape
from signer.formats.statement import Statement, StatementSubject, build_statement, parse_statement

PREDICATE_TYPE = "https://slsa.dev/verification_summary/v1"
SLSA_VERSION = "1.2"
DEV_LEVEL = "DEV_UNTRUSTED"
REQUEST = "urn:signing-authority:request"
DEV = "urn:signing-authority:dev"
MAX_LEVELS = 64

_TRACK = re.compile(r"SLSA_([A-Z]+(?:_[A-Z]+)*)_LEVEL_(?:[0-9]|UNEVALUATED)")
_PROPERTIES = frozenset({"SLSA_SOURCE_TWO_PARTY_REVIEWED", "SLSA_BUILD_REPRODUCED"})
_OWN = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vsa:
    """A verification summary as read; `inputs` are sha256 digests, the last three fields are ours."""

    subjects: tuple[StatementSubject, ...]
    verifier: str
    version: str | None
    resource_uri: str
    policy_uri: str
    policy_digest: str | None
    time: datetime | None
    inputs: tuple[str, ...]
    result: Literal["PASSED", "FAILED"]
    levels: tuple[str, ...]
    request_id: str | None
    dev: bool


class _Verifier(msgspec.Struct):
    id: str
    version: dict[str, str] | None = None


class _Policy(msgspec.Struct):
    uri: str
    digest: dict[str, str] | None = None


class _Input(msgspec.Struct):
    digest: dict[str, str]


class _Predicate(msgspec.Struct, rename="camel"):
    verifier: _Verifier
    resource_uri: str
    policy: _Policy
    verification_result: Literal["PASSED", "FAILED"]
    verified_levels: list[str]
    time_verified: str | None = None
    input_attestations: list[_Input] | None = None
    request: str | None = msgspec.field(default=None, name=REQUEST)
    dev: bool = msgspec.field(default=False, name=DEV)


def build_vsa(
    *,
    subjects: Sequence[Subject],
    verifier: str,
    resource_uri: str,
    policy_uri: str,
    policy_digest: str,
    time: datetime,
    inputs: Sequence[str],
    levels: Sequence[str],
    request_id: str,
    dev: bool,
    version: str,
) -> bytes:
    """Canonical statement bytes of a PASSED summary; raises Malformed for levels that SLSA forbids.

    `inputs` are sha256 digests of all evidence bytes that counted; `time` is the judged instant.
    """
    stated = tuple(levels) + ((DEV_LEVEL,) if dev and DEV_LEVEL not in levels else ())
    _check_tracks(stated)
    _check_names(stated)
    predicate: dict[str, Any] = {
        "verifier": {"id": verifier, "version": {"signing-authority": version}},
        "timeVerified": format_time(time),
        "resourceUri": resource_uri,
        "policy": {"uri": policy_uri, "digest": {"sha256": policy_digest}},
        "inputAttestations": [{"digest": {"sha256": digest}} for digest in inputs],
        "verificationResult": "PASSED",
        "verifiedLevels": list(stated),
        "slsaVersion": SLSA_VERSION,
        REQUEST: request_id,
    }
    if dev:
        predicate[DEV] = True
    return build_statement(subjects, predicate_type=PREDICATE_TYPE, predicate=predicate)


def parse_vsa(payload: bytes) -> Vsa:
    """Read statement bytes that hold a verification summary; raises Malformed."""
    return read_vsa(parse_statement(payload))


def read_vsa(statement: Statement) -> Vsa:
    """Read the summary of a parsed statement; raises Malformed."""
    if statement.predicate_type != PREDICATE_TYPE:
        raise Malformed("evidence-invalid", "the statement is not a verification summary")
    wire = read_shape(statement.predicate, _Predicate, what="verification summary")
    _check_tracks(wire.verified_levels)
    time = None if wire.time_verified is None else parse_time(wire.time_verified, what="timeVerified")
    inputs = [entry.digest.get("sha256") for entry in wire.input_attestations or ()]
    return Vsa(
        subjects=statement.subjects,
        verifier=wire.verifier.id,
        version=(wire.verifier.version or {}).get("signing-authority"),
        resource_uri=wire.resource_uri,
        policy_uri=wire.policy.uri,
        policy_digest=(wire.policy.digest or {}).get("sha256"),
        time=time,
        inputs=tuple(digest for digest in inputs if digest is not None),
        result=wire.verification_result,
        levels=tuple(wire.verified_levels),
        request_id=wire.request,
        dev=wire.dev,
    )


def _check_tracks(levels: Sequence[str]) -> None:
    """Raise Malformed for levels that contradict each other; names of later SLSA versions are kept unread."""
    if len(levels) > MAX_LEVELS or len(set(levels)) != len(levels):
        raise Malformed("evidence-invalid", "the verified levels repeat or are too many")
    tracks = [track[1] for track in map(_TRACK.fullmatch, levels) if track is not None]
    if len(set(tracks)) != len(tracks):
        raise Malformed("evidence-invalid", "two levels of one SLSA track are stated")


def _check_names(levels: Sequence[str]) -> None:
    """Raise Malformed for a level that SLSA does not let us state."""
    for level in levels:
        if level.startswith("SLSA_"):
            known = _TRACK.fullmatch(level) is not None or level in _PROPERTIES
        else:
            known = _OWN.fullmatch(level) is not None
        if not known:
            raise Malformed("invalid-level", f"{level[:64]!r} is no level that may be stated")
