# SPDX-License-Identifier: Apache-2.0
"""Leaf kinds: what the ledger says, one canonical JSON object (RFC 8785) of at most 4 KiB each.

    {"access":"…","decision":…,"kind":"decision","request":"…","time":"2026-11-23T10:00:00.000001Z","v":1,…}

A leaf names documents by sha256; their bytes stand in the same transaction. `kind` tells leaves apart, `v` is
the version of that kind. Readers hash the stored bytes and never re-encode.
"""

from __future__ import annotations

import msgspec

from signer.errors import Malformed
from signer.formats.canonical import canonical
from signer.formats.deployment import Deployment, Gate
from signer.formats.rfc3339 import parse_time
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.base_leaf import BaseLeaf

MAX_LEAF = 4096


class Genesis(BaseLeaf, frozen=True, kw_only=True, tag="genesis"):
    """Leaf 0: who owns this ledger and which key signs its checkpoints."""

    origin: str
    dev: bool
    threshold: int
    owners: tuple[str, ...]
    """base64 DER SPKI of each owner."""
    ledger_key: str
    """The vkey of the checkpoint key (C2SP signed-note)."""


class Activation(BaseLeaf, frozen=True, kw_only=True, tag="activation"):
    """A policy or access document comes into force, or a policy comes into shadow."""

    document: str
    """`policy`, `access` or `shadow`."""
    name: str
    version: int
    digest: str
    principal: str
    signatures: tuple[str, ...]
    """sha256 of each owner signature envelope, kept as documents; empty only in the genesis transaction of dev."""
    acknowledged: tuple[str, ...] = ()
    """Names of rules whose flips in shadow were seen and meant."""


class Refusal(BaseLeaf, frozen=True, kw_only=True, tag="refusal"):
    """A document was offered for activation, and refused: nothing came into force."""

    document: str
    """`policy`, `access` or `shadow`."""
    name: str
    """As the document says; empty when it is no document of that sort."""
    version: int
    """As the document says; 0 when it is no document of that sort."""
    digest: str
    """sha256 of the bytes that were offered, which are not kept."""
    reason: str
    """A slug such as owner-threshold or version-not-newer."""
    principal: str


class Trust(BaseLeaf, frozen=True, kw_only=True, tag="trust"):
    """A newer trust document was published."""

    version: int
    digest: str
    principal: str
    signatures: tuple[str, ...]


class Key(BaseLeaf, frozen=True, kw_only=True, tag="key"):
    """An event in a key's life.

    created      a token holds it, and its public key is pinned; it signs once the owners list it
    rotated      from here on it signs for its role instead of the key before it
    retired      it signs no more; what it signed stays valid
    compromised  it signs no more, and what it signed since `since` may be somebody else's
    """

    event: str
    name: str
    kid: str
    """base64 sha256 of the SPKI: DSSE keyid and bundle hint."""
    purpose: str
    algorithm: str
    spki: str
    """base64 DER."""
    principal: str
    succeeds: str = ""
    """created: the role that it is made for, where another key has that name; else empty."""
    since: str = ""
    """compromised: from when on somebody else may have had it."""
    reason: str = ""
    """retired, compromised: why."""


class Evidence(BaseLeaf, frozen=True, kw_only=True, tag="evidence"):
    """One piece of evidence is kept."""

    digest: str
    media_type: str
    predicate: str
    """Predicate type of a statement, or the kind of an opaque document."""
    subjects: str
    """Digest of the document that lists the subject digests: {"subjects": ["sha256:…"]}."""
    size: int
    principal: str
    policy: str


class IdempotencyEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """sha256 of the Idempotency-Key and of the raw body."""

    key: str
    body: str


class PolicyRef(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The policy in force when a decision was made."""

    name: str
    version: int
    digest: str


class Decision(BaseLeaf, frozen=True, kw_only=True, tag="decision"):
    """A judgement, durable before a key is used or an answer leaves (invariant I1)."""

    request: str
    principal: str
    """`robot:<id>` or `person:<pseudonym>`."""
    policy: PolicyRef
    access: str
    environment: str
    verdict: str
    """allow, deny or hold."""
    subjects: str
    """Digest of the subjects document: {"subjects": [{"name": …, "digest": {…}}]}."""
    facts: str
    """Digest of the facts document (signer.formats.facts)."""
    findings: str
    """Digest of the findings document (signer.formats.findings)."""
    evidence: str
    """Digest of the evidence document: {"evidence": [{"digest", "media_type", "kind", "subjects", "new"}]}."""
    first: str
    """sha256 of the first subject, for people who read the leaf."""
    count: int
    """How many subjects."""
    idempotency: IdempotencyEntry | None = None
    waivers: tuple[str, ...] = ()
    """Digests of the waivers that this ALLOW rests on: each is used once by it."""
    cited: str = ""
    """Of a hold: digest of the set of evidence that its findings cite (policy.release)."""
    answers: str = ""
    """Of a hold: digest of the six answers, which approvers sign (policy.questions)."""
    approvals: tuple[str, ...] = ()
    """Digests of the approvals that this ALLOW rests on: each is used up by it."""


class SignatureEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happened to one payload of an allowed decision."""

    format: str
    payload: str
    """sha256 of the payload that the custodian built; of an artifact that was signed itself, its own."""
    kid: str
    attempts: int
    result: str
    """signed, failed or unknown."""
    bundle: str | None
    """sha256 of the bundle document when signed."""
    timestamp: str = ""
    """`granted` or `failed`; left out where no timestamp was asked for. A bundle carries the granted one."""

    @property
    def document(self) -> str | None:
        """sha256 of the signed document beside the bundle: a simple signing document is not inside of it."""
        return self.payload if self.bundle is not None and self.format == "cosign" else None


class Outcome(BaseLeaf, frozen=True, kw_only=True, tag="outcome"):
    """How the signing of an allowed decision ended, durable before a signature leaves (invariant I1)."""

    request: str
    decision: int
    """Index of the decision leaf."""
    status: str
    """signed, failed or unknown."""
    reason: str
    """Empty when signed; otherwise a slug such as stale, halted, token-unavailable, restart."""
    signatures: tuple[SignatureEntry, ...]


class WaiverLeaf(BaseLeaf, frozen=True, kw_only=True, tag="waiver"):
    """Two people excuse something for a while; from here on decisions may rest on it."""

    digest: str
    """sha256 of the statement that both signed, by which decisions name the waiver."""
    envelope: str
    """sha256 of the DSSE envelope with both signatures."""
    policy: str
    environment: str
    requester: str
    approver: str
    renewal: int
    """0 for the first of its sort, 1 for its first renewal."""
    principal: str
    """Who brought it."""


class WaiverEndLeaf(BaseLeaf, frozen=True, kw_only=True, tag="waiver-end"):
    """A waiver ends before its time; no later ALLOW rests on it."""

    waiver: str
    """Digest of its statement."""
    reason: str
    principal: str


class ShadowLeaf(BaseLeaf, frozen=True, kw_only=True, tag="shadow"):
    """What a policy in shadow would have decided of some recorded decisions."""

    policy: PolicyRef
    """The policy in shadow."""
    last: int
    """Index of the last of these decision leaves."""
    count: int
    results: str
    """Digest of the results document (signer.formats.shadow_results)."""


class GateEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the deployment system says it verified before it went on."""

    verifier: str
    """Program and version."""
    result: str
    """passed or failed."""
    reason: str
    """The code of the check that failed; empty when all held."""
    receipt: str
    """sha256 of the receipt that was verified; empty when none was."""
    time: str


class DeploymentLeaf(BaseLeaf, frozen=True, kw_only=True, tag="deployment"):
    """What reached which environment, as it was told; or what a gate refused to let there."""

    id: str
    """sha256 of all that was told (signer.formats.deployment)."""
    policy: str
    environment: str
    status: str
    """deployed or refused."""
    reference: str
    """The artifact as the deployment named it."""
    digest: str
    """Its sha256; empty when the deployment named a tag alone."""
    at: str
    """When, as the deployment system says."""
    approval: str
    """What approval it claims; empty for none."""
    gate: GateEntry | None
    """Null when nothing was verified."""
    principal: str


class RevocationLeaf(BaseLeaf, frozen=True, kw_only=True, tag="revocation"):
    """What was signed for this digest is taken back, for good."""

    digest: str
    """sha256 of the artifact."""
    policy: str
    environment: str
    """One environment, or `*` for all of the policy."""
    reason: str
    principal: str


class ProbeCount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of the probes of one key since the last leaf that named it."""

    kid: str
    made: int
    """Probes that may have used the key."""
    signed: int
    """Those whose signature verified."""


class ProbeLeaf(BaseLeaf, frozen=True, kw_only=True, tag="probe"):
    """For an hour, these keys may be called for signatures over bytes that say nothing, to see that they can."""

    allowed: int
    """How often each of them, at most."""
    keys: tuple[ProbeCount, ...]


class HaltLeaf(BaseLeaf, frozen=True, kw_only=True, tag="halt"):
    """All signing stops."""

    reason: str
    principal: str


class ResumeLeaf(BaseLeaf, frozen=True, kw_only=True, tag="resume"):
    """Signing goes on; the owners' threshold agreed."""

    halt: int
    principal: str
    signatures: tuple[str, ...]


Leaf = (
    Genesis
    | Activation
    | Refusal
    | Trust
    | Key
    | Evidence
    | Decision
    | Outcome
    | WaiverLeaf
    | WaiverEndLeaf
    | ApprovalLeaf
    | ApprovalRevocationLeaf
    | ShadowLeaf
    | ProbeLeaf
    | DeploymentLeaf
    | RevocationLeaf
    | HaltLeaf
    | ResumeLeaf
)

_decoder = msgspec.json.Decoder(Leaf)


def encode_leaf(leaf: Leaf) -> bytes:
    """The canonical bytes of a leaf; raises Malformed beyond 4 KiB."""
    body = canonical(msgspec.to_builtins(leaf))
    if len(body) > MAX_LEAF:
        raise Malformed("leaf-too-large", f"a leaf is at most {MAX_LEAF} bytes, this one has {len(body)}")
    return body


def decode_leaf(body: bytes) -> Leaf:
    """Read stored leaf bytes; raises Malformed for an unknown kind or shape."""
    try:
        leaf: Leaf = _decoder.decode(body)
    except msgspec.MsgspecError as fault:
        raise Malformed("malformed-leaf", f"not a leaf of a known kind: {fault}") from None
    return leaf


def read_deployment(leaf: DeploymentLeaf) -> Deployment:
    """What a deployment leaf says was told; raises Malformed for a time that is none."""
    gate = leaf.gate
    return Deployment(
        policy=leaf.policy,
        environment=leaf.environment,
        status=leaf.status,
        reference=leaf.reference,
        sha256=leaf.digest,
        at=parse_time(leaf.at, what="time of the deployment"),
        approval=leaf.approval,
        gate=None
        if gate is None
        else Gate(
            verifier=gate.verifier,
            result=gate.result,
            reason=gate.reason,
            receipt=gate.receipt,
            time=parse_time(gate.time, what="time of the gate"),
        ),
    )
