# SPDX-License-Identifier: Apache-2.0
"""Documents: the bytes that leaves name by sha256, kept once each in the transaction of the first leaf that does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec

from signer.domain.spooled import LARGE
from signer.errors import Malformed
from signer.formats.canonical import sha256_hex
from signer.formats.deployment import name_of
from signer.formats.strict_base64 import decode_base64
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.leaves import (
    Activation,
    Decision,
    DeploymentLeaf,
    Evidence,
    Genesis,
    HaltLeaf,
    Key,
    Leaf,
    Outcome,
    ProbeLeaf,
    Refusal,
    ResumeLeaf,
    RevocationLeaf,
    ShadowLeaf,
    Trust,
    WaiverEndLeaf,
    WaiverLeaf,
)

MAX_DOCUMENT = 16 * 1024 * 1024
CANONICAL_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """Bytes under their sha256; raises Malformed when the digest is of other bytes or there are too many."""

    digest: str
    media_type: str
    data: bytes

    def __post_init__(self) -> None:
        if len(self.data) > MAX_DOCUMENT:
            raise Malformed("too-large", f"a document of the ledger is at most {MAX_DOCUMENT} bytes")
        if sha256_hex(self.data) != self.digest:
            raise Malformed("digest-mismatch", f"the document is not the one with sha256 {self.digest[:64]}")

    @classmethod
    def of(cls, data: bytes, *, media_type: str = CANONICAL_JSON) -> StoredDocument:
        """The document that `data` is."""
        return cls(sha256_hex(data), media_type, data)


def named_documents(leaf: Leaf) -> tuple[str, ...]:
    """The sha256 digests of every document that must stand beside `leaf` in its transaction.

    Evidence of more than 1 MiB is a file of the store instead (signer/ledger/store.py).
    """
    named: tuple[str, ...]
    match leaf:
        case Genesis() | Refusal() | Key() | HaltLeaf() | ProbeLeaf() | WaiverEndLeaf():
            named = ()
        case DeploymentLeaf() | RevocationLeaf():
            named = ()
        case Activation() | Trust():
            named = (leaf.digest, *leaf.signatures)
        case Evidence():
            named = (leaf.subjects,) if leaf.size > LARGE else (leaf.digest, leaf.subjects)
        case Decision():
            named = (leaf.subjects, leaf.facts, leaf.findings, leaf.evidence)
        case Outcome():
            bundles = (each.bundle for each in leaf.signatures if each.bundle is not None)
            named = (*bundles, *(each.document for each in leaf.signatures if each.document is not None))
        case WaiverLeaf() | ApprovalLeaf() | ApprovalRevocationLeaf():
            named = _said(leaf)
        case ShadowLeaf():
            named = (leaf.results,)
        case ResumeLeaf():
            named = leaf.signatures
    return named


def _said(leaf: WaiverLeaf | ApprovalLeaf | ApprovalRevocationLeaf) -> tuple[str, ...]:
    """What people stated and, where keys signed it, the envelope."""
    envelope = (leaf.envelope,) if leaf.envelope else ()
    match leaf:
        case WaiverLeaf() | ApprovalLeaf():
            return (leaf.digest, *envelope)
        case ApprovalRevocationLeaf():
            return envelope


class _Subject(msgspec.Struct, frozen=True):
    digest: dict[str, str]


class _Subjects(msgspec.Struct, frozen=True):
    subjects: tuple[_Subject, ...]


class _SubjectDigests(msgspec.Struct, frozen=True):
    subjects: tuple[str, ...]


class EvidenceUse(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a decision's evidence document; `new` is kept by this decision's leaf."""

    digest: str
    media_type: str
    kind: str
    subjects: tuple[str, ...]
    new: bool


class _EvidenceUses(msgspec.Struct, frozen=True):
    evidence: tuple[EvidenceUse, ...]


class _Provenance(msgspec.Struct, frozen=True):
    repository: str | None
    commit: str | None


class _EvidenceFacts(msgspec.Struct, frozen=True):
    provenance: tuple[_Provenance, ...]


class _Facts(msgspec.Struct, frozen=True):
    evidence: _EvidenceFacts


class _Finding(msgspec.Struct, frozen=True):
    rule: str
    outcome: str
    would: str | None = None


class _Findings(msgspec.Struct, frozen=True):
    findings: tuple[_Finding, ...]


class _ApprovalRecord(msgspec.Struct, frozen=True):
    reference: str


class _Payload(msgspec.Struct, frozen=True):
    payload: str = ""


class _Enveloped(msgspec.Struct, frozen=True, rename="camel"):
    payload: str = ""
    dsse_envelope: _Payload | None = None


class _NamedSubject(msgspec.Struct, frozen=True):
    name: str = ""


class _Named(msgspec.Struct, frozen=True):
    subject: tuple[_NamedSubject, ...]


# Readers of the parts that projections index; the full types decode ten times as much.
_subjects = msgspec.json.Decoder(_Subjects)
_subject_digests = msgspec.json.Decoder(_SubjectDigests)
_evidence_uses = msgspec.json.Decoder(_EvidenceUses)
_facts = msgspec.json.Decoder(_Facts)
_approval_record = msgspec.json.Decoder(_ApprovalRecord)
_enveloped = msgspec.json.Decoder(_Enveloped)
_named = msgspec.json.Decoder(_Named)
_findings = msgspec.json.Decoder(_Findings)
_SHADOW = b'"outcome":"shadow"'


def read_subjects(data: bytes) -> tuple[str, ...]:
    """Every `algorithm:hex` of a subjects document, {"subjects": [{"name": …, "digest": {…}}]}, each once."""
    subjects = _decode(_subjects, data).subjects
    return tuple(dict.fromkeys(f"{algorithm}:{value}" for each in subjects for algorithm, value in each.digest.items()))


def read_subject_digests(data: bytes) -> tuple[str, ...]:
    """The digests of an evidence leaf's subjects document, {"subjects": ["sha256:…"]}, each once."""
    return tuple(dict.fromkeys(_decode(_subject_digests, data).subjects))


def read_evidence_uses(data: bytes) -> tuple[EvidenceUse, ...]:
    """The lines of an evidence document, {"evidence": [{"digest": …, "new": true, …}]}."""
    return _decode(_evidence_uses, data).evidence


def read_sources(data: bytes) -> tuple[tuple[str, str], ...]:
    """(repository, commit) of each provenance in a facts document, each pair once, "" for what is not stated."""
    stated = ((each.repository or "", each.commit or "") for each in _decode(_facts, data).evidence.provenance)
    return tuple(dict.fromkeys(each for each in stated if any(each)))


SCANS = ("https://in-toto.io/attestation/vulns/v0.2", "https://cosign.sigstore.dev/attestation/vuln/v1")
"""Predicate types of vulnerability reports, which are found by the names of their subjects too."""


def read_evidence_names(kind: str, data: bytes) -> tuple[str, ...]:
    """The names, without tag and digest, of what a scan or an approval given elsewhere speaks of, each once.

    Names are for comparing records only: what cannot be read here has none.
    """
    try:
        if kind == "approval-record":
            named = [_approval_record.decode(data).reference]
        elif kind in SCANS:
            outer = _enveloped.decode(data)
            text = outer.payload or (outer.dsse_envelope.payload if outer.dsse_envelope is not None else "")
            named = [each.name for each in _named.decode(decode_base64(text, what="payload")).subject]
        else:
            return ()
    except (msgspec.MsgspecError, UnicodeDecodeError, Malformed):
        return ()
    return tuple(dict.fromkeys(name_of(name) for name in named if name))


def read_shadowed(data: bytes) -> dict[str, str]:
    """How each rule in shadow of a findings document would have ended, at worst."""
    worst: dict[str, str] = {}
    # Almost no findings document has one; looking for the words costs a hundredth of reading it.
    for finding in _decode(_findings, data).findings if _SHADOW in data else ():
        if finding.outcome == "shadow" and finding.would is not None:
            worst[finding.rule] = min(worst.get(finding.rule, finding.would), finding.would, key=_severity)
    return worst


LETS_THROUGH = ("waived", "not-applicable", "pass")
"""Outcomes of a rule that stand in no release's way, the worst first."""


def _severity(outcome: str) -> tuple[int, str]:
    """The worst outcome first; each one that is not known to let through is among the worst."""
    return (LETS_THROUGH.index(outcome) + 1, "") if outcome in LETS_THROUGH else (0, outcome)


_Form = TypeVar("_Form", bound=msgspec.Struct)


def _decode(decoder: msgspec.json.Decoder[_Form], data: bytes) -> _Form:
    try:
        return decoder.decode(data)
    except msgspec.MsgspecError as fault:
        raise Malformed("malformed-document", f"a document of the ledger has another form: {fault}") from None
