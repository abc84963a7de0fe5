# SPDX-License-Identifier: Apache-2.0
"""The authority between fakes: a ledger in a list, tokens that sign when told, clocks that stand still.

Everything that leaves the authority is written into one journal, so that tests can speak of order.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from signer.custodian.acts import Acts
from signer.custodian.authority import Authority
from signer.custodian.commands import Activate, Command, Decide, Done, Idempotency, Judge, Reply, UpdateTrust
from signer.custodian.commit import Commit
from signer.custodian.judging import Judging
from signer.custodian.payloads import Identity
from signer.custodian.probing import Probing
from signer.custodian.release_commands import Sealed, SealPack
from signer.custodian.revocations import Revocations
from signer.custodian.shadowing import Shadowing
from signer.custodian.signing import Signing
from signer.custodian.standing import Standing
from signer.custodian.stowing import Stowing
from signer.custodian.token_events import JobEnded, SigningJob, StampJob, TokenEvent
from signer.db.statements import Row
from signer.domain.algorithm import Algorithm
from signer.domain.purpose import Purpose
from signer.domain.subject import Subject
from signer.errors import Unavailable
from signer.formats.canonical import sha256_hex
from signer.formats.owner_act import Action, OwnerAct, sign_owner_act
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.spki import keyid, spki_der
from signer.formats.strict_base64 import decode_base64, encode_base64
from signer.formats.trust import TrustDocument, TrustKey, build_trust_document, encode_trust_file
from signer.keys.keyring import KeyPlace, PinnedKey, keyring_of
from signer.keys.uri import Pkcs11Uri
from signer.ledger import leaves
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.documents import (
    StoredDocument,
    read_evidence_uses,
    read_sources,
    read_subject_digests,
    read_subjects,
)
from signer.ledger.fold import Change, fold_all
from signer.ledger.rows import (
    ActiveDocument,
    ApprovalRevocationRow,
    ApprovalRow,
    DecisionRow,
    DeployedRow,
    HaltRow,
    HeadRow,
    HoldRow,
    IndexedEvidence,
    KeyRow,
    OutcomeRow,
    ReplayRow,
    RevocationRow,
    ShadowCount,
    SignedRow,
    TrustRow,
    UseRow,
    WaiverEndRow,
    WaiverRow,
)
from signer.ledger.sequencer import Batch, Entry
from signer.ledger.store import Intake
from signer.telemetry.logs import open_log
from signer.tlog.merkle import leaf_hash
from tests.authority import ORIGIN, access_document, demo_evidence, demo_policy, gather

NOW = datetime.now(UTC)
LEDGER_KEY = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
KEY_URI = "pkcs11:token=signer;object=release;id=%01"


class FakeLedger:
    """Reader and sequencer over a list of leaves; every answer is a scan."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.bodies: list[bytes] = []
        self.documents: dict[str, StoredDocument] = {}
        self.fault: str | None = None
        """None, `before` (nothing is stored) or `after` (stored, and the answer is lost)."""
        self.appends: list[int] = []

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def append(self, entries: Sequence[Entry]) -> Batch:
        if self.fault == "before":
            self.journal.append("append fails")
            raise Unavailable("ledger-unavailable", "the disk is full")
        first = len(self.bodies)
        for entry in entries:
            self.bodies.append(entry.body)
            self.documents |= {document.digest: document for document in entry.documents}
        self.appends.append(len(entries))
        if self.fault == "after":
            self.journal.append("append fails")
            raise Unavailable("ledger-unavailable", "the answer was lost")
        self.journal += (f"durable {describe(entry.leaf)}" for entry in entries)
        size = len(self.bodies)
        return Batch(first, size, f"checkpoint {size}", tuple(entry.body for entry in entries), ((),) * len(entries))

    def all(self) -> list[tuple[int, leaves.Leaf]]:
        return [(index, leaves.decode_leaf(body)) for index, body in enumerate(self.bodies)]

    def of(self, kind: type) -> list[tuple[int, leaves.Leaf]]:
        return [(index, leaf) for index, leaf in self.all() if isinstance(leaf, kind)]

    def head(self) -> HeadRow:
        return HeadRow(len(self.bodies), b"")

    def leaf(self, index: int) -> bytes:
        return self.bodies[index]

    def document(self, digest: str) -> StoredDocument | None:
        return self.documents.get(digest)

    def active_all(self, document: str) -> tuple[ActiveDocument, ...]:
        found: dict[str, ActiveDocument] = {}
        for index, leaf in self.all():
            if isinstance(leaf, leaves.Activation) and leaf.document == document:
                data = self.documents[leaf.digest].data
                found[leaf.name] = ActiveDocument(leaf.name, leaf.version, leaf.digest, data, index)
        return tuple(found.values())

    def trust(self) -> TrustRow | None:
        row = None
        for index, leaf in self.all():
            if isinstance(leaf, leaves.Trust):
                envelopes = [self.documents[digest].data for digest in leaf.signatures]
                file = encode_trust_file(self.documents[leaf.digest].data, envelopes)
                row = TrustRow(leaf.version, leaf.digest, file, index)
        return row

    def kept(self) -> dict[str, IndexedEvidence]:
        found: dict[str, IndexedEvidence] = {}
        for index, leaf in self.all():
            if isinstance(leaf, leaves.Evidence):
                subjects = read_subject_digests(self.documents[leaf.subjects].data)
                row = IndexedEvidence(
                    leaf.digest, leaf.media_type, leaf.predicate, leaf.size, index, 0, leaf.principal, "", subjects
                )
                found.setdefault(leaf.digest, row)
            elif isinstance(leaf, leaves.Decision):
                for at, use in enumerate(read_evidence_uses(self.documents[leaf.evidence].data)):
                    if use.new:
                        row = IndexedEvidence(
                            use.digest, use.media_type, use.kind, 0, index, at, leaf.principal, "", use.subjects
                        )
                        found.setdefault(use.digest, row)
        return found

    def evidence(self, digest: str) -> IndexedEvidence | None:
        return self.kept().get(digest)

    def evidence_for(self, subject_digests: Sequence[str]) -> tuple[IndexedEvidence, ...]:
        wanted = set(subject_digests)
        found = (row for row in self.kept().values() if wanted & set(row.subjects))
        return tuple(sorted(found, key=lambda row: row.received))

    def decision(self, request_id: str) -> DecisionRow | None:
        return next((row for row in self.decisions() if row.request_id == request_id), None)

    def decisions(self) -> list[DecisionRow]:
        return [
            DecisionRow(
                index,
                leaf.request,
                parse_time(leaf.time, what="time"),
                leaf.principal,
                leaf.policy,
                leaf.access,
                leaf.environment,
                leaf.verdict,
                leaf.subjects,
                leaf.facts,
                leaf.findings,
                leaf.evidence,
                leaf.first,
                leaf.count,
            )
            for index, leaf in self.all()
            if isinstance(leaf, leaves.Decision)
        ]

    def decision_at(self, leaf: int) -> DecisionRow | None:
        return next((row for row in self.decisions() if row.leaf == leaf), None)

    def decisions_after(self, policy: str, leaf: int) -> tuple[DecisionRow, ...]:
        return tuple(row for row in self.decisions() if row.policy.name == policy and row.leaf > leaf)

    def contents(self, digests: Sequence[str]) -> dict[str, bytes]:
        return {digest: self.documents[digest].data for digest in digests}

    def _shadow(self, digest: str) -> list[Row]:
        changes = fold_all(self.all(), lambda each: self.documents[each].data)
        return [row for row in changes.get(Change.SHADOW, []) if row[0] == digest]

    def last_shadowed(self, digest: str) -> int | None:
        return max((row[2] for row in self._shadow(digest) if not row[1]), default=None)

    def shadow_counts(self, digest: str) -> tuple[ShadowCount, ...]:
        times = {row.leaf: row.time for row in self.decisions()}
        parted: dict[tuple[str, str, str], list[int]] = {}
        for _, rule, decision, outcome, flip in self._shadow(digest):
            parted.setdefault((rule, outcome, flip), []).append(decision)
        return tuple(ShadowCount(*key, len(those), times[min(those)]) for key, those in parted.items())

    def outcome(self, decision_leaf: int) -> OutcomeRow | None:
        for index, leaf in self.all():
            if isinstance(leaf, leaves.Outcome) and leaf.decision == decision_leaf:
                time = parse_time(leaf.time, what="time")
                return OutcomeRow(index, leaf.decision, leaf.request, time, leaf.status, leaf.reason, leaf.signatures)
        return None

    def first_signed(self, policy: str, sha256s: Sequence[str]) -> tuple[SignedRow, ...]:
        found: dict[tuple[str, str], SignedRow] = {}
        for row in self.decisions():
            outcome = self.outcome(row.leaf)
            if row.policy.name == policy and outcome is not None and outcome.status == "signed":
                for sha256 in sha256s:
                    if f"sha256:{sha256}" in read_subjects(self.documents[row.subjects].data):
                        signed = SignedRow(sha256, row.environment, row.time, leaf_hash(self.bodies[row.leaf]))
                        found.setdefault((sha256, row.environment), signed)
        return tuple(found.values())

    def replay(self, principal: str, key_digest: str) -> ReplayRow | None:
        row = None
        for index, leaf in self.all():
            if isinstance(leaf, leaves.Decision) and leaf.idempotency is not None:
                used = (leaf.principal, leaf.idempotency.key)
                row = ReplayRow(leaf.idempotency.body, leaf.request, index) if used == (principal, key_digest) else row
        return row

    def keys(self) -> tuple[KeyRow, ...]:
        return tuple(
            KeyRow(
                index,
                leaf.event,
                leaf.name,
                leaf.kid,
                leaf.purpose,
                leaf.algorithm,
                decode_base64(leaf.spki, what="spki"),
                leaf.principal,
                parse_time(leaf.time, what="time"),
                leaf.succeeds,
                parse_time(leaf.since, what="since") if leaf.since else None,
                leaf.reason,
            )
            for index, leaf in self.all()
            if isinstance(leaf, leaves.Key)
        )

    def waivers(self) -> tuple[WaiverRow, ...]:
        ends = {
            leaf.waiver: WaiverEndRow(index, leaf.reason, leaf.principal, parse_time(leaf.time, what="time"))
            for index, leaf in self.all()
            if isinstance(leaf, leaves.WaiverEndLeaf)
        }
        return tuple(
            WaiverRow(
                index,
                leaf.digest,
                leaf.envelope,
                leaf.policy,
                leaf.environment,
                leaf.requester,
                leaf.approver,
                leaf.renewal,
                leaf.principal,
                parse_time(leaf.time, what="time"),
                self.documents[leaf.digest].data,
                ends.get(leaf.digest),
            )
            for index, leaf in self.all()
            if isinstance(leaf, leaves.WaiverLeaf)
        )

    def waiver_uses(self, digest: str) -> tuple[UseRow, ...]:
        return self._uses(lambda leaf: digest in leaf.waivers)

    def _uses(self, rests_on: Callable[[leaves.Decision], bool]) -> tuple[UseRow, ...]:
        uses = []
        for index, leaf in self.all():
            if isinstance(leaf, leaves.Decision) and leaf.verdict == "allow" and rests_on(leaf):
                outcome = self.outcome(index)
                status = None if outcome is None else outcome.status
                uses.append(UseRow(index, leaf.subjects, leaf.environment, leaf.policy.digest, leaf.evidence, status))
        return tuple(uses)

    def deployment(self, identifier: str) -> int | None:
        found = (
            index for index, leaf in self.all() if isinstance(leaf, leaves.DeploymentLeaf) and leaf.id == identifier
        )
        return next(found, None)

    def first_deployed(self, policy: str, sha256s: Sequence[str]) -> tuple[DeployedRow, ...]:
        found: dict[tuple[str, str], DeployedRow] = {}
        for index, leaf in self.all():
            if isinstance(leaf, leaves.DeploymentLeaf) and (leaf.policy, leaf.status) == (policy, "deployed"):
                time = parse_time(leaf.time, what="time")
                row = DeployedRow(leaf.digest, leaf.environment, time, leaf_hash(self.bodies[index]))
                if leaf.digest in sha256s:
                    found.setdefault((leaf.digest, leaf.environment), row)
        return tuple(found.values())

    def revocations(self) -> tuple[RevocationRow, ...]:
        return tuple(
            RevocationRow(
                index,
                leaf.digest,
                leaf.policy,
                leaf.environment,
                leaf.reason,
                leaf.principal,
                parse_time(leaf.time, what="time"),
            )
            for index, leaf in self.all()
            if isinstance(leaf, leaves.RevocationLeaf)
        )

    def repositories(self, policy: str, sha256: str) -> tuple[str, ...]:
        found = {
            repository
            for row in self.decisions()
            if row.policy.name == policy and f"sha256:{sha256}" in read_subjects(self.documents[row.subjects].data)
            for repository, _ in read_sources(self.documents[row.facts].data)
        }
        return tuple(sorted(found))

    def hold(self, request_id: str) -> HoldRow | None:
        return next((row for row in self.holds() if row.request_id == request_id), None)

    def newest_hold(self, policy: str, environment: str, sha256: str) -> HoldRow | None:
        of = (policy, environment, sha256)
        found = [row for row in self.holds() if (row.policy, row.environment, row.sha256) == of]
        return found[-1] if found else None

    def holds(self) -> list[HoldRow]:
        every = [(index, leaf) for index, leaf in self.all() if isinstance(leaf, leaves.Decision)]

        def of(leaf: leaves.Decision) -> tuple[str, str, str]:
            return (leaf.policy.name, leaf.environment, leaf.first)

        return [
            HoldRow(
                index,
                leaf.request,
                parse_time(leaf.time, what="time"),
                leaf.principal,
                leaf.first,
                leaf.environment,
                leaf.policy.name,
                leaf.policy.digest,
                leaf.cited,
                leaf.answers,
                any(at > index and of(each) == of(leaf) and each.verdict == "allow" for at, each in every),
                any(at > index and of(each) == of(leaf) and each.cited for at, each in every),
            )
            for index, leaf in every
            if leaf.cited
        ]

    def approvals(self) -> list[ApprovalRow]:
        revoked = {
            leaf.approval: ApprovalRevocationRow(index, leaf.reason, leaf.principal, parse_time(leaf.time, what="time"))
            for index, leaf in self.all()
            if isinstance(leaf, ApprovalRevocationLeaf)
        }
        return [
            ApprovalRow(
                index,
                leaf.verb,
                leaf.digest,
                leaf.envelope,
                leaf.kid,
                leaf.decision,
                leaf.person,
                leaf.groups,
                leaf.answers,
                parse_time(leaf.at, what="time"),
                leaf.principal,
                self.documents[leaf.digest].data,
                revoked.get(leaf.digest),
            )
            for index, leaf in self.all()
            if isinstance(leaf, ApprovalLeaf)
        ]

    def approvals_of(self, hold: int) -> tuple[ApprovalRow, ...]:
        return tuple(row for row in self.approvals() if row.hold == hold)

    def approval(self, digest: str) -> ApprovalRow | None:
        return next((row for row in self.approvals() if row.digest == digest), None)

    def approval_uses(self, digest: str) -> tuple[UseRow, ...]:
        return self._uses(lambda leaf: digest in leaf.approvals)

    def key_use(self) -> Mapping[str, int]:
        uses: Counter[str] = Counter()
        for _, leaf in self.all():
            if isinstance(leaf, leaves.Outcome):
                for entry in leaf.signatures:
                    uses[entry.kid] += entry.attempts
        return uses

    def halted(self) -> HaltRow | None:
        row = None
        for index, leaf in self.all():
            if isinstance(leaf, leaves.HaltLeaf):
                row = HaltRow(index, leaf.reason, leaf.principal, parse_time(leaf.time, what="time"))
            elif isinstance(leaf, leaves.ResumeLeaf) and row is not None and leaf.halt >= row.leaf:
                row = None
        return row

    def open_decisions(self) -> tuple[DecisionRow, ...]:
        return tuple(row for row in self.decisions() if row.verdict == "allow" and self.outcome(row.leaf) is None)


@dataclass
class FakeTokens:
    """Holds the release key; signs, fails or loses jobs when the test says so."""

    journal: list[str]
    private: ec.EllipticCurvePrivateKey
    jobs: list[SigningJob] = field(default_factory=list)
    looks: list[tuple[int, KeyPlace, bool]] = field(default_factory=list)
    stopped: bool = False
    refused: frozenset[str] = frozenset()
    reason: str = ""
    stamps: list[StampJob] = field(default_factory=list)
    untimely: str = ""
    others: dict[bytes, ec.EllipticCurvePrivateKey] = field(default_factory=dict)
    """Keys beside the release key, by their SPKI."""

    def stamp_hindrance(self) -> Unavailable | None:
        return Unavailable("timestamp-unavailable", self.untimely, remedy="wait") if self.untimely else None

    def stamp(self, job: StampJob) -> None:
        self.journal.append("stamp")
        self.stamps.append(job)

    def hindrance(self, key: PinnedKey) -> Unavailable | None:  # noqa: ARG002 - one reason for all keys
        return Unavailable("token-unavailable", self.reason) if self.reason else None

    def submit(self, job: SigningJob) -> None:
        self.journal.append("key")
        self.jobs.append(job)

    def locate(self, ticket: int, place: KeyPlace, *, generate: bool) -> bool:
        self.looks.append((ticket, place, generate))
        return True

    def set_stop(self, *, stopped: bool) -> None:
        self.stopped = stopped

    def refuse(self, kids: Collection[str]) -> None:
        self.refused = frozenset(kids)

    def sign(self, job: SigningJob) -> bytes:
        private = self.others.get(job.key.pin.spki, self.private)
        return private.sign(job.data, ec.ECDSA(Prehashed(SHA256())))

    def end(self, status: str = "signed", *, reason: str = "", only: int | None = None) -> list[TokenEvent]:
        """End every job that is queued, or the first `only` of them."""
        ending, self.jobs = self.jobs[:only], self.jobs[len(self.jobs[:only]) :]
        return [
            JobEnded(
                ticket=job.ticket,
                status=status,
                signature=self.sign(job) if status == "signed" else b"",
                reason=reason,
                detail=reason,
                attempts=1,
                kid=job.key.pin.kid,
                probe=job.probe,
            )
            for job in ending
        ]


@dataclass
class FakeSealing:
    """Seals nothing in particular: what a pack holds is tested where there is a real ledger."""

    ledger: FakeLedger

    def seal(self, command: SealPack, *, standing: Standing) -> Sealed:  # noqa: ARG002 - the protocol's signature
        return Sealed(size=command.size or len(self.ledger.bodies), manifest=b"manifest")


@dataclass
class FakeClock:
    """Stands still until moved."""

    time: datetime = NOW
    ticks: int = 1_000_000_000

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> int:
        return self.ticks

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.ticks += int(seconds * 1e9)


class FakePersons:
    """Pseudonyms from a counter."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.fault = False

    def pseudonym(self, person_id: str) -> str:
        if self.fault:
            raise Unavailable("ledger-unavailable", "the pseudonyms are gone")
        return self.known.setdefault(person_id, f"person:{len(self.known):032x}")


class World:
    """An authority with a genesis leaf, documents in force, one release key and its trust."""

    def __init__(self, *, level: str = "better", intake: Intake | None = None, probe_interval: float = 0.0) -> None:
        self.intake = intake
        self.journal: list[str] = []
        self.ledger = FakeLedger(self.journal)
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.spki = spki_der(self.private.public_key())
        self.tokens = FakeTokens(self.journal, self.private)
        self.clock = FakeClock()
        self.persons = FakePersons()
        self.signers: Mapping[str, ec.EllipticCurvePrivateKey] = {
            name: ec.generate_private_key(ec.SECP256R1()) for name in ("builder", "scanner", "source")
        }
        self.owners = tuple(Ed25519PrivateKey.generate() for _ in range(3))
        self.log = io.BytesIO()
        self.limits: dict[str, int] = {}
        self.probe_interval = probe_interval
        self.published: list[bytes] = []
        """Every revocation list that was written."""
        self.tickets = 0
        self.ledger.append([Entry(self.genesis())])
        self.authority = self.new_authority()
        policy = demo_policy(self.signers, level=level)
        assert isinstance(self.ask(self.activation("policy", 1, policy)), Done)
        assert isinstance(self.ask(self.activation("access", 1, access_document())), Done)
        place = KeyPlace(
            name="release",
            uri=Pkcs11Uri("signer", "release", b"\1"),
            purpose=Purpose.STATEMENT,
            algorithm=Algorithm.ECDSA_P256,
        )
        self.record_key(place)
        self.publish_trust()
        self.journal.clear()
        self.ledger.appends.clear()

    configured: ClassVar[tuple[tuple[str, str, str, str], ...]] = (
        ("release", KEY_URI, "statement", "ecdsa-p256-sha256"),
        ("spare", KEY_URI.replace("%01", "%02"), "statement", "ecdsa-p256-sha256"),
    )
    """Keys of the settings: name, URI, purpose, algorithm."""

    def genesis(self) -> leaves.Genesis:
        return leaves.Genesis(
            time=format_time(NOW),
            origin=ORIGIN,
            dev=False,
            threshold=2,
            owners=tuple(encode_base64(spki_der(owner.public_key())) for owner in self.owners),
            ledger_key="vkey",
        )

    def new_authority(self) -> Authority:
        """A custodian that starts on what the ledger holds now."""
        keyring = keyring_of(self.configured)
        log = open_log(self.log, room="test")
        signing = Signing(
            identity=Identity(origin=ORIGIN, dev=False, version="0"),
            keyring=keyring,
            tokens=self.tokens,
            limits=self.limits,
            uses=self.ledger.key_use,
        )
        authority = Authority(
            reader=self.ledger,
            receipts=self.receipt,
            judging=Judging(reader=self.ledger, persons=self.persons, clock=self.clock),
            signing=signing,
            acts=Acts(
                reader=self.ledger,
                persons=self.persons,
                keyring=keyring,
                tokens=self.tokens,
                stowing=Stowing(self.intake),
            ),
            commit=Commit(sequencer=self.ledger, signing=signing, receipts=self.receipt, tokens=self.tokens, log=log),
            tokens=self.tokens,
            keyring=keyring,
            revocations=Revocations(key=LEDGER_KEY, write=self.published.append, log=log),
            shadowing=Shadowing(reader=self.ledger, clock=self.clock),
            sealing=FakeSealing(self.ledger),
            probing=Probing(
                origin=ORIGIN,
                keyring=keyring,
                tokens=self.tokens,
                limited=self.limits,
                interval=self.probe_interval,
                clock=self.clock,
            ),
            clock=self.clock,
            log=log,
        )
        authority.recover()
        return authority

    def receipt(self, request_id: str) -> bytes:
        decision = self.ledger.decision(request_id)
        assert decision is not None
        outcome = self.ledger.outcome(decision.leaf)
        assert outcome is not None, "a receipt needs a durable outcome"
        return b"receipt of " + self.ledger.leaf(outcome.leaf)

    def record_key(self, place: KeyPlace) -> None:
        leaf = leaves.Key(
            time=format_time(NOW),
            event="created",
            name=place.name,
            kid=keyid(self.spki),
            purpose=place.purpose,
            algorithm=place.algorithm,
            spki=encode_base64(self.spki),
            principal="operator",
        )
        self.ledger.append([Entry(leaf)])

    def publish_trust(self, *, version: int = 1, status: str = "active", not_after: datetime | None = None) -> None:
        data = self.trust_document(version=version, status=status, not_after=not_after)
        signatures = self.sign("trust", version, sha256_hex(data))
        # The authority reads pins before trust: the key leaf above did not pass through it.
        self.authority = self.new_authority()
        self.ask(UpdateTrust(principal="operator", data=data, signatures=signatures))

    def trust_document(
        self, *, version: int, status: str = "active", not_after: datetime | None = None, **changes: Any
    ) -> bytes:
        key = TrustKey(
            name="release",
            kid=keyid(self.spki),
            spki=self.spki,
            purpose=Purpose.STATEMENT,
            algorithm=Algorithm.ECDSA_P256,
            status="active" if status == "active" else "retired",
            not_before=NOW - timedelta(hours=1),
            not_after=not_after,
        )
        document = TrustDocument(
            version=version,
            origin=ORIGIN,
            genesis=leaf_hash(self.ledger.leaf(0)).hex(),
            dev=False,
            verifier=f"https://{ORIGIN}",
            ledger_keys=("vkey",),
            threshold=2,
            owners=tuple(spki_der(owner.public_key()) for owner in self.owners),
            keys=(key,),
        )
        return build_trust_document(replace(document, **changes))

    def sign(self, action: Action, number: int, sha256: str, *, owners: int = 2) -> tuple[bytes, ...]:
        act = OwnerAct(action, number, ORIGIN, sha256)
        return tuple(sign_owner_act(act, owner) for owner in self.owners[:owners])

    def activation(self, document: str, version: int, data: bytes, *, owners: int = 2) -> Activate:
        signatures = self.sign("policy" if document == "policy" else "access", version, sha256_hex(data), owners=owners)
        return Activate(principal="operator", document=document, data=data, signatures=signatures)

    # Turns

    def turn(self, *commands: Command, events: Sequence[TokenEvent] = ()) -> dict[int, Reply]:
        """One turn with these commands; the answers of the turn by ticket."""
        arrivals = []
        for command in commands:
            self.tickets += 1
            arrivals.append((self.tickets, command))
        answers = self.authority.turn(arrivals, events)
        self.journal += (f"answer {type(reply).__name__}" for _, reply in answers)
        return dict(answers)

    def ask(self, command: Command) -> Reply:
        """One command, and as many turns as it needs while its tokens sign."""
        answers = self.turn(command)
        ticket = self.tickets
        for _ in range(5):
            if ticket in answers:
                return answers[ticket]
            answers |= self.turn(events=self.tokens.end())
        raise AssertionError("no answer")

    # Commands

    def evidence(self, *subjects: Subject, triggered_by: str | None = None) -> tuple[bytes, ...]:
        # Of the time at which the world began: a run of the tests may last longer than evidence stays believable.
        return demo_evidence(self.signers, *subjects, now=NOW, triggered_by=triggered_by)

    def judge(self, evidence: Sequence[bytes], *subjects: Subject, principal: str = "robot:ci") -> Judge:
        return gather(self.ledger, evidence, *subjects, principal=principal)

    def decide(self, *subjects: Subject, evidence: Sequence[bytes] | None = None, key: str | None = None) -> Decide:
        given = self.evidence(*subjects) if evidence is None else evidence
        return Decide(judge=self.judge(given, *subjects), idempotency=None if key is None else idempotency(key))

    def denied(self, *subjects: Subject, key: str | None = None) -> Decide:
        return self.decide(*subjects, evidence=(), key=key)


def idempotency(key: str, body: str = "body") -> Idempotency:
    return Idempotency(key=hashlib.sha256(key.encode()).hexdigest(), body=hashlib.sha256(body.encode()).hexdigest())


def describe(leaf: leaves.Leaf) -> str:
    match leaf:
        case leaves.Decision():
            return leaf.verdict
        case leaves.Outcome():
            return leaf.status
        case _:
            return type(leaf).__name__
