# SPDX-License-Identifier: Apache-2.0
"""A small ledger in a folder, the entries that fill it, and the faults that befall it."""

from __future__ import annotations

import base64
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, event, select

from signer.db import tables
from signer.db.engine import open_engine
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.rfc3339 import format_time
from signer.formats.shadow_results import Flip, ShadowResult, encode_results
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.documents import StoredDocument
from signer.ledger.gate import genesis, ledger_vkey, open_ledger
from signer.ledger.guard import Guard
from signer.ledger.leaves import (
    Activation,
    Decision,
    DeploymentLeaf,
    Evidence,
    GateEntry,
    Genesis,
    HaltLeaf,
    IdempotencyEntry,
    Key,
    Outcome,
    PolicyRef,
    Refusal,
    ResumeLeaf,
    RevocationLeaf,
    ShadowLeaf,
    SignatureEntry,
    Trust,
    WaiverEndLeaf,
    WaiverLeaf,
)
from signer.ledger.reader import Reader
from signer.ledger.sequencer import Batch, Entry, Sequencer

ORIGIN = "dev.invalid/signing-authority"
START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


SHADOW = "5" * 64
"""Digest of the policy in shadow."""


@dataclass
class World:
    """One ledger: its files, and what is open of it."""

    path: Path
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    ticks: int = 0
    serial: int = 0
    url: str = ""
    """The database; by default a SQLite file in `path`."""

    def __post_init__(self) -> None:
        self.url = self.url or f"sqlite:///{self.path}/ledger.db"
        self.engine = self.new_engine()
        self.guard = Guard(self.path / "guard")
        self._reader = Reader(self.engine)

    def new_engine(self) -> Engine:
        return open_engine(self.url, read_only=False)

    def begin(self, then: Sequence[Entry] = ()) -> Batch:
        """Make a new ledger with its genesis leaf."""
        leaf = Genesis(
            time=self.time(), origin=ORIGIN, dev=True, threshold=1, owners=(), ledger_key=ledger_vkey(ORIGIN, self.key)
        )
        return genesis(self.engine, leaf=leaf, then=then, ledger_key=self.key, guard=self.guard)

    def open(self) -> Sequencer:
        """Start like a new process: another engine, the guard taken again, the whole gate."""
        self.close()
        self.engine = self.new_engine()
        self._reader = Reader(self.engine)
        return open_ledger(self.engine, origin=ORIGIN, ledger_key=self.key, guard=self.guard, now=self.now())

    def close(self) -> None:
        self.guard.close()
        self.engine.dispose()

    @property
    def reader(self) -> Reader:
        """Of the engine that is open now; compiling its statements takes a while, so there is one per engine."""
        return self._reader

    def now(self) -> datetime:
        return START + timedelta(milliseconds=self.ticks)

    def time(self) -> str:
        self.ticks += 1
        return format_time(self.now())

    def request(self) -> str:
        self.serial += 1
        return f"{self.serial:032x}"

    # Entries

    def evidence_document(self, text: str) -> StoredDocument:
        return StoredDocument.of(text.encode(), media_type="application/vnd.dsse.envelope.v1+json")

    def evidence(
        self,
        text: str = "an envelope",
        *,
        subjects: Sequence[str] = ("sha256:" + "a" * 64,),
        kind: str = "https://slsa.dev/provenance/v1",
    ) -> Entry:
        data = self.evidence_document(text)
        listed = StoredDocument.of(canonical({"subjects": list(subjects)}))
        leaf = Evidence(
            time=self.time(),
            digest=data.digest,
            media_type=data.media_type,
            predicate=kind,
            subjects=listed.digest,
            size=len(data.data),
            principal="robot:ci",
            policy="demo",
        )
        return Entry(leaf, (data, listed))

    def decision(
        self,
        *,
        verdict: str = "allow",
        request: str | None = None,
        principal: str = "robot:ci",
        environment: str = "release",
        policy: str = "demo",
        subjects: Sequence[str] = ("a" * 64,),
        source: tuple[str | None, str | None] = ("github.com/acme/shop", "c" * 40),
        evidence: Sequence[StoredDocument] = (),
        idempotency: tuple[str, str] | None = None,
        waivers: Sequence[str] = (),
        approvals: Sequence[str] = (),
        shadow: Sequence[tuple[str, str]] = (),
    ) -> Entry:
        described = {
            "subjects": [{"name": f"shop-{at}", "digest": {"sha256": each}} for at, each in enumerate(subjects)]
        }
        provenance = [{"repository": source[0], "commit": source[1]}]
        uses = [
            {
                "digest": each.digest,
                "media_type": each.media_type,
                "kind": "https://slsa.dev/provenance/v1",
                "subjects": [f"sha256:{each}" for each in subjects],
                "new": True,
            }
            for each in evidence
        ]
        documents = [
            StoredDocument.of(canonical(each))
            for each in (
                described,
                {"evidence": {"provenance": provenance}},
                {"findings": [{"rule": rule, "outcome": "shadow", "would": would} for rule, would in shadow]},
                {"evidence": uses},
            )
        ]
        leaf = Decision(
            time=self.time(),
            request=request or self.request(),
            principal=principal,
            policy=PolicyRef(name=policy, version=1, digest="d" * 64),
            access="e" * 64,
            environment=environment,
            verdict=verdict,
            subjects=documents[0].digest,
            facts=documents[1].digest,
            findings=documents[2].digest,
            evidence=documents[3].digest,
            first=subjects[0],
            count=len(subjects),
            idempotency=None if idempotency is None else IdempotencyEntry(key=idempotency[0], body=idempotency[1]),
            waivers=tuple(waivers) if verdict == "allow" else (),
            approvals=tuple(approvals) if verdict == "allow" else (),
            cited="f" * 64 if verdict == "hold" and len(subjects) == 1 else "",
            answers="a" * 64 if verdict == "hold" and len(subjects) == 1 else "",
        )
        return Entry(leaf, (*documents, *evidence))

    def outcome(self, decision: int, request: str, *, status: str = "signed", reason: str = "") -> Entry:
        bundle = StoredDocument.of(canonical({"bundle": request})) if status == "signed" else None
        signature = SignatureEntry(
            format="vsa",
            payload="f" * 64,
            kid="kid",
            attempts=1,
            result=status,
            bundle=None if bundle is None else bundle.digest,
        )
        leaf = Outcome(
            time=self.time(),
            request=request,
            decision=decision,
            status=status,
            reason=reason,
            signatures=(signature,),
        )
        return Entry(leaf, () if bundle is None else (bundle,))

    def waiver(self, name: str = "a waiver", *, policy: str = "demo", environment: str = "release") -> Entry:
        statement, envelope = (StoredDocument.of(f"{what} {name}".encode()) for what in ("statement", "envelope"))
        leaf = WaiverLeaf(
            time=self.time(),
            digest=statement.digest,
            envelope=envelope.digest,
            policy=policy,
            environment=environment,
            requester="person:1",
            approver="person:2",
            renewal=0,
            principal="person:2",
        )
        return Entry(leaf, (statement, envelope))

    def waiver_end(self, digest: str, reason: str = "mended") -> Entry:
        return Entry(WaiverEndLeaf(time=self.time(), waiver=digest, reason=reason, principal="person:2"))

    def approval(self, hold: Entry, at: int, name: str = "an approval", *, signed: bool = True) -> Entry:
        """What somebody says of the hold whose leaf stands at `at`."""
        held = hold.leaf
        assert isinstance(held, Decision)
        documents = [StoredDocument.of(f"statement {name}".encode())]
        if signed:
            documents.append(StoredDocument.of(f"envelope {name}".encode()))
        leaf = ApprovalLeaf(
            time=self.time(),
            verb="approve",
            digest=documents[0].digest,
            envelope=documents[1].digest if signed else "",
            kid="kid" if signed else "",
            hold=held.request,
            decision=at,
            sha256=held.first,
            environment=held.environment,
            policy=held.policy.name,
            policy_digest=held.policy.digest,
            cited=held.cited,
            answers=held.answers,
            person="person:1",
            groups=("release-managers", "sre"),
            at=self.time(),
            principal="person:1",
        )
        return Entry(leaf, tuple(documents))

    def approval_revocation(self, digest: str, reason: str = "a mistake") -> Entry:
        leaf = ApprovalRevocationLeaf(
            time=self.time(), approval=digest, envelope="", reason=reason, principal="person:1"
        )
        return Entry(leaf)

    def shadow(self, *decisions: int, flip: Flip = "deny", rule: str = "VUL-1") -> Entry:
        results = [
            ShadowResult(decision=each, outcome="deny", flip=flip, rules={rule: "fail"} if flip else {})
            for each in decisions
        ]
        document = StoredDocument.of(encode_results(results))
        leaf = ShadowLeaf(
            time=self.time(),
            policy=PolicyRef(name="demo", version=2, digest=SHADOW),
            last=decisions[-1],
            count=len(decisions),
            results=document.digest,
        )
        return Entry(leaf, (document,))

    def deployment(
        self,
        sha256: str = "a" * 64,
        *,
        environment: str = "release",
        policy: str = "demo",
        status: str = "deployed",
        reference: str = "registry.example/shop:1.2",
        approval: str = "",
        gate: GateEntry | None = None,
    ) -> Entry:
        time = self.time()
        leaf = DeploymentLeaf(
            time=time,
            id=sha256_hex(time.encode()),
            policy=policy,
            environment=environment,
            status=status,
            reference=reference,
            digest=sha256,
            at=time,
            approval=approval,
            gate=gate,
            principal="robot:deployer",
        )
        return Entry(leaf)

    def revocation(self, sha256: str = "a" * 64, *, policy: str = "demo", environment: str = "release") -> Entry:
        leaf = RevocationLeaf(
            time=self.time(),
            digest=sha256,
            policy=policy,
            environment=environment,
            reason="backdoor",
            principal="person:1",
        )
        return Entry(leaf)

    def refusal(self) -> Entry:
        leaf = Refusal(
            time=self.time(),
            document="policy",
            name="demo",
            version=2,
            digest="f" * 64,
            reason="owner-threshold",
            principal="person:1",
        )
        return Entry(leaf)

    def halt(self, reason: str = "drill") -> Entry:
        return Entry(HaltLeaf(time=self.time(), reason=reason, principal="person:1"))

    def resume(self, halt: int) -> Entry:
        envelope = StoredDocument.of(canonical({"resume": halt}))
        leaf = ResumeLeaf(time=self.time(), halt=halt, principal="person:1", signatures=(envelope.digest,))
        return Entry(leaf, (envelope,))

    def activation(self, name: str = "demo", *, version: int = 1, document: str = "policy") -> Entry:
        data = StoredDocument.of(f"{document} {name} {version}".encode(), media_type="application/yaml")
        leaf = Activation(
            time=self.time(),
            document=document,
            name=name,
            version=version,
            digest=data.digest,
            principal="person:1",
            signatures=(),
        )
        return Entry(leaf, (data,))

    def trust(self, version: int, document: bytes, envelopes: Sequence[bytes] = ()) -> Entry:
        documents = [StoredDocument.of(each) for each in (document, *envelopes)]
        leaf = Trust(
            time=self.time(),
            version=version,
            digest=documents[0].digest,
            principal="person:1",
            signatures=tuple(each.digest for each in documents[1:]),
        )
        return Entry(leaf, tuple(documents))

    def key_event(self, name: str = "release", kid: str = "kid") -> Entry:
        return Entry(
            Key(
                time=self.time(),
                event="created",
                name=name,
                kid=kid,
                purpose="statement",
                algorithm="ecdsa-p256-sha256",
                spki=base64.b64encode(kid.encode()).decode(),
                principal="person:1",
            )
        )


def signed(world: World, sequencer: Sequencer, **wanted: Any) -> str:
    """Append an allowed decision and its signed outcome; returns the request id."""
    entry = world.decision(**wanted)
    assert isinstance(entry.leaf, Decision)
    batch = sequencer.append([entry])
    sequencer.append([world.outcome(batch.first, entry.leaf.request)])
    return entry.leaf.request


class History:
    """Fills a ledger with every kind of leaf, in batches of random sizes; one seed gives one history."""

    def __init__(self, world: World, *, seed: int) -> None:
        self._world = world
        self._rng = random.Random(seed)
        self._open: list[tuple[int, str]] = []
        self._halts: list[int] = []
        self._versions = 0
        self._waivers: list[str] = []
        self._held: list[tuple[int, Entry]] = []
        self._approvals: list[str] = []
        self._shadowed: set[int] = set()

    def append(self, sequencer: Sequencer, *, times: int) -> None:
        kinds = (
            [self.decision] * 7
            + [self.outcome] * 3
            + [self.evidence, self.shadow, self.halt, self.resume, self.document, self.key, self.refusal]
        )
        kinds += [self.waiver, self.waiver_end, self.deployment, self.revocation, self.approval_record]
        kinds += [self.hold, self.approval, self.approval, self.approval_revocation]
        for _ in range(times):
            entries = [self._rng.choice(kinds)() for _ in range(self._rng.choice([1, 1, 2, 3, 9]))]
            batch = sequencer.append(entries)
            for index, each in enumerate(entries, start=batch.first):
                if isinstance(each.leaf, Decision) and each.leaf.verdict == "allow":
                    self._open.append((index, each.leaf.request))
                if isinstance(each.leaf, Decision) and each.leaf.cited:
                    self._held.append((index, each))
                if isinstance(each.leaf, ApprovalLeaf):
                    self._approvals.append(each.leaf.digest)
                if isinstance(each.leaf, HaltLeaf):
                    self._halts.append(index)
                if isinstance(each.leaf, WaiverLeaf):
                    self._waivers.append(each.leaf.digest)

    def decision(self) -> Entry:
        rng = self._rng
        return self._world.decision(
            verdict=rng.choice(["allow", "allow", "deny", "hold"]),
            principal=f"robot:{rng.randrange(3)}",
            subjects=[f"{each:064x}" for each in rng.sample(range(20), rng.randrange(1, 4))],
            source=(rng.choice([None, "github.com/acme/shop"]), rng.choice([None, f"{rng.randrange(4):040x}"])),
            evidence=[self._world.evidence_document(f"envelope {rng.randrange(9)}") for _ in range(rng.randrange(3))],
            waivers=rng.sample(self._waivers, min(len(self._waivers), rng.randrange(3))),
            approvals=rng.sample(self._approvals, min(len(self._approvals), rng.randrange(3))),
            idempotency=rng.choice([None, (f"{rng.randrange(4):064x}", f"{rng.randrange(2):064x}")]),
            shadow=rng.choice([(), (), (("VUL-1", "fail"), ("SBM-1", "pass"))]),
        )

    def outcome(self) -> Entry:
        if not self._open:
            return self.decision()
        decision = self._open.pop(self._rng.randrange(len(self._open)))
        return self._world.outcome(*decision, status=self._rng.choice(["signed", "failed", "unknown"]))

    def evidence(self) -> Entry:
        subject = f"sha256:{self._rng.randrange(5):064x}"
        return self._world.evidence(f"envelope {self._rng.randrange(9)}", subjects=[subject])

    def approval_record(self) -> Entry:
        reference = f"registry.example/shop-{self._rng.randrange(5)}:1.2"
        return self._world.evidence(canonical({"reference": reference}).decode(), kind="approval-record")

    def waiver(self) -> Entry:
        return self._world.waiver(str(self._rng.random()))

    def hold(self) -> Entry:
        return self._world.decision(verdict="hold", subjects=[f"{self._rng.randrange(3):064x}"])

    def approval(self) -> Entry:
        if not self._held:
            return self.hold()
        index, hold = self._rng.choice(self._held)
        return self._world.approval(hold, index, str(self._rng.random()), signed=self._rng.random() > 0.3)

    def approval_revocation(self) -> Entry:
        known = self._approvals
        return self._world.approval_revocation(self._rng.choice(known)) if known else self.approval()

    def waiver_end(self) -> Entry:
        return self._world.waiver_end(self._rng.choice(self._waivers)) if self._waivers else self.waiver()

    def shadow(self) -> Entry:
        fresh = [index for index, _ in self._open if index not in self._shadowed][:3]
        if not fresh:
            return self.decision()
        self._shadowed.update(fresh)
        return self._world.shadow(*fresh, flip=self._rng.choice(["", "deny"]))

    def deployment(self) -> Entry:
        sha256 = f"{self._rng.randrange(20):064x}"
        return self._world.deployment(sha256, environment=self._rng.choice(["staging", "release"]))

    def revocation(self) -> Entry:
        return self._world.revocation(f"{self._rng.randrange(20):064x}")

    def halt(self) -> Entry:
        return self._world.halt()

    def resume(self) -> Entry:
        return self._world.resume(self._rng.choice(self._halts)) if self._halts else self.halt()

    def document(self) -> Entry:
        self._versions += 1
        document, name = self._rng.choice(
            [("policy", "demo"), ("policy", "other"), ("shadow", "demo"), ("access", "access")]
        )
        return self._world.activation(name, version=self._versions, document=document)

    def refusal(self) -> Entry:
        return self._world.refusal()

    def key(self) -> Entry:
        return self._world.key_event(f"key-{self._rng.randrange(3)}", str(self._rng.random()))


def projected(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every projection."""
    with engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in tables.PROJECTIONS
        }


def tamper(world: World, statement: str, *values: object) -> None:
    """Change the database as somebody would who can write the file."""
    world.engine.dispose()
    with closing(sqlite3.connect(world.path / "ledger.db")) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


@contextmanager
def pragma(engine: Engine, text: str) -> Iterator[None]:
    """Run a PRAGMA on every connection of the block."""

    def connected(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA {text}")

    event.listen(engine, "connect", connected)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "connect", connected)
        engine.dispose()


def digest_of(text: str) -> str:
    return sha256_hex(text.encode())
