# SPDX-License-Identifier: Apache-2.0
"""Review records: what a source platform's collector says of one commit, as a SCAI v0.3 attestation.

{"_type":"https://in-toto.io/Statement/v1",
 "subject":[{"digest":{"gitCommit":"51c0…","gitTree":"9e1d…"},"uri":"git+https://github.com/acme/shop"}],
 "predicateType":"https://in-toto.io/attestation/scai/v0.3",
 "predicate":{"producer":{"uri":"https://source.example"},"attributes":[
   {"attribute":"SOURCE_AUTHORED","conditions":{"authors":["email:dana@acme.example"],
                                                "committers":["login:https://github.com#1002"]}},
   {"attribute":"SOURCE_REVIEWED","conditions":{"reviewer":"login:https://github.com#1001","commit":"51c0…",
                                                "decision":"approved","role":"admin"}},
   {"attribute":"SOURCE_REF_PROTECTED","conditions":{"ref":"refs/heads/main","byRequest":true,"forcePush":false,
                                                     "deletion":false,"includesAdmins":true}},
   {"attribute":"SOURCE_FILES_OWNED","conditions":{"enforced":true,"files":[
      {"paths":[".github/workflows/"],"owners":["login:https://github.com#1001"],"changed":true}]}},
   {"attribute":"SOURCE_MERGED","conditions":{"by":"login:https://github.com#1002","bypassed":false}}]}}

The vocabulary is ours (docs/reference/review-records.md); the predicate is in-toto's. SCAI is open: attributes with
other names are passed over. An attribute of ours is closed: an unknown condition is refused, since it might take back
what the others say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import msgspec

from policy.review_facts import OwnedFiles, ProtectedRef, Review
from signer.errors import Malformed
from signer.formats.person import require_identifier
from signer.formats.shape import read_shape, require_printable, require_visible
from signer.formats.source_uri import parse_ref, parse_source_uri
from signer.formats.statement import Statement, is_commit

PREDICATE_TYPE: Final = "https://in-toto.io/attestation/scai/v0.3"
AUTHORED: Final = "SOURCE_AUTHORED"
REVIEWED: Final = "SOURCE_REVIEWED"
REF_PROTECTED: Final = "SOURCE_REF_PROTECTED"
FILES_OWNED: Final = "SOURCE_FILES_OWNED"
MERGED: Final = "SOURCE_MERGED"
ATTRIBUTES: Final = (AUTHORED, REVIEWED, REF_PROTECTED, FILES_OWNED, MERGED)

MAX_ATTRIBUTES = 1024
MAX_LIST = 1024

Decision = Literal["approved", "changes-requested", "dismissed"]
Role = Literal["admin", "write", "read"]
_Shape = TypeVar("_Shape")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRecord:
    """One commit of one repository, in the words of `policy.facts.ReviewRecord`; persons as identifiers."""

    verifier: str
    repository: str
    commit: str
    tree: str | None
    authors: tuple[str, ...] | None
    reviews: tuple[Review, ...]
    protected: tuple[ProtectedRef, ...]
    owners_enforced: bool | None
    owned: tuple[OwnedFiles, ...]
    merged_by: str | None
    bypassed: bool | None


class _Closed(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Conditions of an attribute."""


class _Authored(_Closed):
    authors: list[str]
    committers: list[str]


class _Reviewed(_Closed):
    reviewer: str
    commit: str
    decision: Decision
    role: Role


class _RefProtected(_Closed):
    ref: str
    by_request: bool
    force_push: bool
    deletion: bool
    includes_admins: bool


class _Files(_Closed):
    paths: list[str]
    owners: list[str]
    changed: bool


class _FilesOwned(_Closed):
    enforced: bool
    files: list[_Files]


class _Merged(_Closed):
    by: str
    bypassed: bool


class _Attribute(msgspec.Struct):
    attribute: str
    conditions: dict[str, Any] | None = None


class _Producer(msgspec.Struct):
    uri: str | None = None


class _Predicate(msgspec.Struct):
    attributes: list[_Attribute]
    producer: _Producer | None = None


def is_review_record(statement: Statement) -> bool:
    """Whether the statement is SCAI about commits and says something of the vocabulary."""
    attributes = statement.predicate.get("attributes")
    return (
        statement.predicate_type == PREDICATE_TYPE
        and any(subject.commit is not None for subject in statement.subjects)
        and isinstance(attributes, list)
        and any(isinstance(entry, dict) and entry.get("attribute") in ATTRIBUTES for entry in attributes)
    )


def read_review_record(statement: Statement) -> ReviewRecord:
    """Read a verified statement; raises Malformed."""
    wire = read_shape(dict(statement.predicate), _Predicate, what="review record")
    if len(wire.attributes) > MAX_ATTRIBUTES:
        raise Malformed("too-large", f"a review record has at most {MAX_ATTRIBUTES} attributes")
    if len(statement.subjects) != 1 or statement.subjects[0].commit is None:
        raise Malformed("evidence-invalid", "a review record speaks of one commit", remedy="attest each commit alone")
    subject = statement.subjects[0]
    if wire.producer is None or wire.producer.uri is None:
        raise Malformed("evidence-invalid", "the review record names no producer", remedy="write producer.uri")
    authored = _sole(wire.attributes, AUTHORED, _Authored)
    owned = _sole(wire.attributes, FILES_OWNED, _FilesOwned)
    merged = _sole(wire.attributes, MERGED, _Merged)
    return ReviewRecord(
        verifier=require_visible(wire.producer.uri, what="producer of the review record"),
        repository=parse_source_uri(subject.uri or "").repository,
        commit=subject.commit or "",
        tree=subject.tree,
        authors=None if authored is None else _authors(authored),
        reviews=tuple(map(_review, _every(wire.attributes, REVIEWED, _Reviewed))),
        protected=tuple(map(_protected, _every(wire.attributes, REF_PROTECTED, _RefProtected))),
        owners_enforced=None if owned is None else owned.enforced,
        owned=() if owned is None else _bounded(owned.files, _owned),
        merged_by=None if merged is None else require_identifier(merged.by, what="who merged"),
        bypassed=None if merged is None else merged.bypassed,
    )


def _every(attributes: Sequence[_Attribute], name: str, shape: type[_Shape]) -> list[_Shape]:
    return [
        read_shape(entry.conditions or {}, shape, what=f"attribute {name}")
        for entry in attributes
        if entry.attribute == name
    ]


def _sole(attributes: Sequence[_Attribute], name: str, shape: type[_Shape]) -> _Shape | None:
    found = _every(attributes, name, shape)
    if len(found) > 1:
        raise Malformed("evidence-invalid", f"the review record states {name} twice")
    return found[0] if found else None


_Wire = TypeVar("_Wire")
_Fact = TypeVar("_Fact")


def _bounded(values: Sequence[_Wire], read: Callable[[_Wire], _Fact]) -> tuple[_Fact, ...]:
    if len(values) > MAX_LIST:
        raise Malformed("too-large", f"a list in a review record has at most {MAX_LIST} entries")
    return tuple(map(read, values))


def _persons(identifiers: Sequence[str], *, what: str) -> tuple[str, ...]:
    named = _bounded(identifiers, lambda text: require_identifier(text, what=what))
    return tuple(sorted(set(named)))


def _authors(wire: _Authored) -> tuple[str, ...]:
    """Authors and committers together: neither may review. Nobody wrote nothing, so both lists name somebody."""
    if not wire.authors or not wire.committers:
        raise Malformed("evidence-invalid", f"{AUTHORED} names no author or no committer")
    return _persons([*wire.authors, *wire.committers], what="an author of the review record")


def _review(wire: _Reviewed) -> Review:
    if not is_commit(wire.commit):
        raise Malformed("evidence-invalid", f"the commit of a {REVIEWED} is not a full git object id")
    reviewer = require_identifier(wire.reviewer, what="a reviewer of the review record")
    return Review(reviewer=reviewer, commit=wire.commit, decision=wire.decision, role=wire.role)


def _protected(wire: _RefProtected) -> ProtectedRef:
    if not wire.ref.startswith("refs/"):
        raise Malformed("evidence-invalid", f"the ref of {REF_PROTECTED} does not begin with refs/")
    return ProtectedRef(
        ref=parse_ref(wire.ref),
        by_request=wire.by_request,
        force_push=wire.force_push,
        deletion=wire.deletion,
        includes_admins=wire.includes_admins,
    )


def _owned(wire: _Files) -> OwnedFiles:
    if not wire.paths:
        raise Malformed("evidence-invalid", f"an entry of {FILES_OWNED} names no path")
    return OwnedFiles(
        paths=_bounded(wire.paths, _path),
        owners=_persons(wire.owners, what="an owner in the review record"),
        changed=wire.changed,
    )


def _path(text: str) -> str:
    """A path from the top of the repository; a wildcard would mean something else to every reader."""
    path = require_printable(text, what="path of the review record")
    segments = path.removesuffix("/").split("/")
    if "*" in path or "\\" in path or any(segment in ("", ".", "..") for segment in segments):
        raise Malformed(
            "evidence-invalid",
            "a path of the review record is not a plain path",
            remedy="write .github/workflows/ for a folder, .github/workflows/release.yml for a file",
        )
    return path
