# SPDX-License-Identifier: Apache-2.0
"""The custodian's whole language: typed commands in, typed replies out.

A frame is a 4-byte big-endian length and that many bytes of MessagePack. No command carries bytes to sign,
a row, a key name or a verdict: the custodian derives all of these itself.

    00 00 00 5b  {"type": "decide", "request_id": "…", …}
"""

from __future__ import annotations

from policy.facts import EvidenceFacts
from signer.custodian.message import Message
from signer.custodian.release_commands import RecordDeployment, RevokeRelease, Sealed, SealPack

MAX_FRAME = 64 * 1024 * 1024


class EvidenceItem(Message, frozen=True, kw_only=True, tag="evidence-item"):
    """Evidence bytes to keep, at most 1 MiB, as rows of the leaf's transaction."""

    digest: str
    """sha256 of `data`; the custodian hashes again and refuses a difference."""
    media_type: str
    """`application/vnd.dsse.envelope.v1+json` or the type of the opaque document."""
    kind: str
    """predicate type of the statement, or the `kind` of an opaque document."""
    subjects: tuple[str, ...]
    """`sha256:<hex>`, `gitCommit:<hex>` and `gitTree:<hex>` digests under which the index finds it again."""
    data: bytes


class SpooledItem(Message, frozen=True, kw_only=True, tag="spooled-item"):
    """Evidence of more than 1 MiB that the principal uploaded: the custodian finds it by these two and copies it."""

    digest: str
    size: int
    media_type: str
    kind: str
    subjects: tuple[str, ...]


class Idempotency(Message, frozen=True, kw_only=True, tag="idempotency"):
    """Idempotency-Key, as digests: of the key itself and of the raw request body."""

    key: str
    body: str


class Judge(Message, frozen=True, kw_only=True, tag="judge"):
    """What a decide and a check share: who asks what, on which facts, made under which documents."""

    request_id: str
    """128 random bits in hexadecimal, made before judging."""
    principal: str
    policy: str
    environment: str
    policy_digest: str
    access_digest: str
    subjects: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """(name, ((algorithm, hex), …)) for each subject."""
    facts: EvidenceFacts
    """Facts of the evidence; persons as the evidence states them, `received` 0 for evidence not yet stored."""
    used: tuple[str, ...]
    """Digests of all evidence considered: submitted and stored."""
    new: tuple[EvidenceItem, ...]
    """Evidence that the ledger does not hold yet, in the order of the request."""


class Decide(Message, frozen=True, kw_only=True, tag="decide"):
    """Judge, record and, when allowed, sign (signing cycle, steps 5 to 9)."""

    judge: Judge
    idempotency: Idempotency | None = None


class Check(Message, frozen=True, kw_only=True, tag="check"):
    """The same judgement with no leaf and no key."""

    judge: Judge


class KeepEvidence(Message, frozen=True, kw_only=True, tag="keep-evidence"):
    """Keep verified evidence: one leaf per item."""

    request_id: str
    principal: str
    policy: str
    items: tuple[EvidenceItem | SpooledItem, ...]


class Halt(Message, frozen=True, kw_only=True, tag="halt"):
    """Stop all signing at once."""

    principal: str
    reason: str


class Resume(Message, frozen=True, kw_only=True, tag="resume"):
    """Start again after the halt at `halt_index`; needs the owners' threshold."""

    principal: str
    halt_index: int
    signatures: tuple[bytes, ...]
    """DSSE envelopes made by `signer owner sign`."""


class Activate(Message, frozen=True, kw_only=True, tag="activate"):
    """Put a policy or access document in force, or a policy in shadow; needs the owners' threshold."""

    principal: str
    document: str
    """`policy`, `access` or `shadow`."""
    data: bytes
    signatures: tuple[bytes, ...]
    acknowledged: tuple[str, ...] = ()
    """Names of rules whose flips in shadow were seen and meant."""


class RecordWaiver(Message, frozen=True, kw_only=True, tag="record-waiver"):
    """Record what two people have excused; the custodian verifies both signatures."""

    principal: str
    envelope: bytes
    """DSSE around the statement (signer.formats.waiver)."""


class EndWaiver(Message, frozen=True, kw_only=True, tag="end-waiver"):
    """End a recorded waiver before its time."""

    principal: str
    waiver: str
    """sha256 of its statement."""
    reason: str


class RecordApproval(Message, frozen=True, kw_only=True, tag="record-approval"):
    """Record what one person says of a hold; the custodian verifies the signature."""

    principal: str
    statement: bytes
    """DSSE around the statement (signer.formats.approval); the bare statement where nothing signed it."""
    signed: bool


class RevokeApproval(Message, frozen=True, kw_only=True, tag="revoke-approval"):
    """Take back what the caller, or whoever signed, said of a hold."""

    principal: str
    approval: str
    """sha256 of its statement."""
    reason: str
    statement: bytes = b""
    """DSSE around the revocation; empty when the caller's certificate alone vouches."""


class UpdateTrust(Message, frozen=True, kw_only=True, tag="update-trust"):
    """Publish a newer trust document; needs the owners' threshold of the one before."""

    principal: str
    data: bytes
    signatures: tuple[bytes, ...]


class AddKey(Message, frozen=True, kw_only=True, tag="add-key"):
    """Record a key that a token holds: found by its URI (or generated there), pinned by its public key."""

    principal: str
    name: str
    """Name of a key in the custodian's settings."""
    generate: bool
    """Make the key pair in the token when no object has that URI."""
    succeeds: str = ""
    """The role in which it follows another key; empty for a key that has a role of its own."""


class KeyEvent(Message, frozen=True, kw_only=True, tag="key-event"):
    """Rotate, retire or report a recorded key (see signer.ledger.key_life)."""

    principal: str
    event: str
    """`rotated`, `retired` or `compromised`."""
    name: str
    since: str = ""
    """compromised: from when on somebody else may have had it, RFC 3339."""
    reason: str = ""
    """retired, compromised: why."""


class Status(Message, frozen=True, kw_only=True, tag="status"):
    """Ask for readiness: ledger, guard, keys, halt."""


Said = RecordWaiver | EndWaiver | RecordApproval | RevokeApproval
"""What people say of a release, and take back."""
ActCommand = Halt | Resume | Activate | Said | UpdateTrust | AddKey | KeyEvent | RecordDeployment | RevokeRelease
"""What is not judged, and appended alone."""
Command = Decide | Check | KeepEvidence | Status | SealPack | ActCommand


class Signed(Message, frozen=True, kw_only=True, tag="signed"):
    """The receipt, byte for byte what the caller gets; also for a replay."""

    request_id: str
    receipt: bytes


class NotSigned(Message, frozen=True, kw_only=True, tag="not-signed"):
    """A judged denial or hold; its leaf is durable."""

    request_id: str
    leaf: int
    decision: bytes
    """The decision document (canonical JSON, see signer.ledger.leaves)."""


class Checked(Message, frozen=True, kw_only=True, tag="checked"):
    """The answer to a check: the decision document, not recorded."""

    decision: bytes


class OutcomeUnknown(Message, frozen=True, kw_only=True, tag="outcome-unknown"):
    """A key may have been used and no signature was released; both leaves say so."""

    request_id: str
    decision_leaf: int
    outcome_leaf: int


class Stale(Message, frozen=True, kw_only=True, tag="stale"):
    """The facts were made under other documents or less evidence than the ledger has now: verify again."""

    reason: str


class Kept(Message, frozen=True, kw_only=True, tag="kept"):
    """Evidence is durable: digest and leaf index of each item, in order."""

    leaves: tuple[tuple[str, int], ...]


class Done(Message, frozen=True, kw_only=True, tag="done"):
    """An administrative act is durable."""

    leaf: int


class KeyProof(Message, frozen=True, kw_only=True, tag="key-proof"):
    """What a key that signs has proved since the custodian started."""

    name: str
    proved: str
    """RFC 3339 instant of its last verified signature, of a request or of a probe; empty when there is none."""
    probes: int
    failed: int


class StatusReport(Message, frozen=True, kw_only=True, tag="status-report"):
    """Readiness as the custodian sees it; each problem is a sentence with its remedy."""

    ready: bool
    halted: bool
    tree_size: int
    origin: str
    problems: tuple[str, ...]
    keys: tuple[tuple[str, bool], ...]
    proofs: tuple[KeyProof, ...] = ()


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """An error of signer.errors on the wire: `family` is malformed, refused, unavailable or misconfigured."""

    family: str
    code: str
    detail: str
    remedy: str
    retry_after: int = 0


Reply = Signed | NotSigned | Checked | OutcomeUnknown | Stale | Kept | Done | StatusReport | Sealed | Failed
