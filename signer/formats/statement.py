# SPDX-License-Identifier: Apache-2.0
"""in-toto Statement v1: subjects, a predicate type and the claim itself.

    {"_type":"https://in-toto.io/Statement/v1",
     "subject":[{"name":"registry.example/shop/api","digest":{"sha256":"9c56…"}}],
     "predicateType":"https://slsa.dev/provenance/v1","predicate":{…}}

Stricter than the standard: a digest under a known algorithm has that algorithm's one spelling, and one name
never stands for two digests. Digests of unknown or weak algorithms identify nothing and are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from signer.domain.digest import LENGTHS
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.canonical import canonical
from signer.formats.shape import read_shape
from signer.formats.strict_json import parse_object

TYPE = "https://in-toto.io/Statement/v1"
OLD_TYPE = "https://in-toto.io/Statement/v0.1"
MAX_STATEMENT = 1024 * 1024
MAX_SUBJECTS = 1024
MAX_DIGESTS = 32
_UNNAMED = ("", "_")
_GIT_LENGTHS = (40, 64)
_HEX = re.compile(r"[0-9a-f]+")


class StatementSubject(msgspec.Struct, frozen=True):
    """What a statement speaks of: the digests that identify it, by accepted algorithm.

    `artifact` holds sha256, sha384 and sha512; `commit` and `tree` are the gitCommit and gitTree digests. A struct,
    because a statement has a
    thousand of them and they are made for every request.
    """

    name: str
    artifact: Mapping[str, str]
    commit: str | None
    uri: str | None
    annotations: Mapping[str, Any]
    tree: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed statement; `predicate` is the loaded JSON object, empty when absent."""

    subjects: tuple[StatementSubject, ...]
    predicate_type: str
    predicate: dict[str, Any]


class _Subject(msgspec.Struct):
    digest: dict[str, str]
    name: str | None = None
    uri: str | None = None
    annotations: dict[str, Any] | None = None


class _Statement(msgspec.Struct, rename="camel"):
    type_: str = msgspec.field(name="_type")
    subject: list[_Subject]
    predicate_type: str
    predicate: dict[str, Any] | None = None


def parse_statement(payload: bytes, *, old: bool = False, limit: int = MAX_STATEMENT) -> Statement:
    """Read the payload of a verified envelope; raises Malformed. With `old`, Statement v0.1 is read too."""
    value = parse_object(payload, limit=limit, what="statement")
    wire = read_shape(value, _Statement, what="statement")
    if wire.type_ == OLD_TYPE and not old:
        raise Malformed(
            "statement-not-accepted",
            "the payload is an in-toto Statement v0.1, which the policy does not accept",
            remedy=f"attest with {TYPE}; or the policy says accept: {{statements: [v0.1]}} under trust",
        )
    if wire.type_ not in (TYPE, OLD_TYPE):
        raise Malformed("evidence-invalid", "the payload is not an in-toto Statement v1", remedy=f"use {TYPE}")
    if not wire.subject:
        raise Malformed("evidence-invalid", "the statement has no subject", remedy="name what it speaks of")
    if len(wire.subject) > MAX_SUBJECTS:
        raise Malformed("too-large", f"a statement has at most {MAX_SUBJECTS} subjects")
    if not wire.predicate_type:
        raise Malformed("evidence-invalid", "the statement has no predicate type")
    subjects = tuple(_subject(subject) for subject in wire.subject)
    _require_one_digest_per_name(subjects)
    return Statement(subjects, wire.predicate_type, wire.predicate or {})


def build_statement(subjects: Sequence[Subject], *, predicate_type: str, predicate: Mapping[str, Any]) -> bytes:
    """Canonical bytes of a statement about artifacts."""
    return canonical(
        {
            "_type": TYPE,
            "subject": [
                {"name": subject.name, "digest": {digest.algorithm: digest.value for digest in subject.digests}}
                for subject in subjects
            ],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def _subject(wire: _Subject) -> StatementSubject:
    if not 0 < len(wire.digest) <= MAX_DIGESTS:
        raise Malformed("evidence-invalid", f"a subject of the statement has 1 to {MAX_DIGESTS} digests")
    sha256 = wire.digest.get("sha256", "")
    if len(wire.digest) == 1 and len(sha256) == LENGTHS["sha256"] and _HEX.fullmatch(sha256) is not None:
        # The usual subject; a statement may have a thousand.
        return StatementSubject(wire.name or "", wire.digest, None, wire.uri, wire.annotations or {})
    artifact = {name: value for name, value in wire.digest.items() if name in LENGTHS}
    for algorithm, value in artifact.items():
        if len(value) != LENGTHS[algorithm] or _HEX.fullmatch(value) is None:
            raise Malformed(
                "evidence-invalid",
                f"a {algorithm} digest of the statement is not {LENGTHS[algorithm]} lower-case hex digits",
            )
    commit, tree = wire.digest.get("gitCommit"), wire.digest.get("gitTree")
    for name, found in (("gitCommit", commit), ("gitTree", tree)):
        if found is not None and not is_commit(found):
            raise Malformed(
                "evidence-invalid", f"a {name} digest of the statement is not 40 or 64 lower-case hex digits"
            )
    return StatementSubject(wire.name or "", artifact, commit, wire.uri, wire.annotations or {}, tree)


def is_commit(text: str) -> bool:
    """Whether `text` is a full git object id: SHA-1 or SHA-256 in lower-case hexadecimal."""
    return len(text) in _GIT_LENGTHS and _HEX.fullmatch(text) is not None


def _require_one_digest_per_name(subjects: Sequence[StatementSubject]) -> None:
    """Names are advisory, but two meanings of one name would mislead whoever reads it."""
    seen: dict[str, StatementSubject] = {}
    for subject in subjects:
        if subject.name in _UNNAMED:
            continue
        first = seen.setdefault(subject.name, subject)
        if first is not subject and (first.artifact, first.commit) != (subject.artifact, subject.commit):
            raise Malformed("evidence-invalid", "two subjects of the statement share a name and differ in digest")
