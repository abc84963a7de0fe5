# SPDX-License-Identifier: Apache-2.0
"""A small authority for tests of web: a real ledger made by the real sequencer, and a custodian held in memory."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry

from policy import library
from policy.decision import Verdict
from policy.document import parse_policy
from policy.engine import evaluate
from policy.facts import Facts, RequestFacts, SubjectFact
from policy.ledger_facts import LedgerFacts
from policy.levels import matrix
from policy.questions import question_objects, recorded_answers
from signer.custodian.commands import (
    Check,
    Checked,
    Command,
    Decide,
    Done,
    Halt,
    Judge,
    KeepEvidence,
    Kept,
    KeyProof,
    NotSigned,
    Reply,
    Resume,
    Signed,
    SpooledItem,
    Status,
    StatusReport,
)
from signer.custodian.release_commands import RecordDeployment, RevokeRelease, Sealed, SealPack
from signer.db.engine import open_engine
from signer.dev.attestations import (
    BUILDER_ID,
    COMMIT,
    REPOSITORY,
    VERIFIER_ID,
    attest,
    provenance_statement,
    review_statement,
    sbom_statement,
    scan_statement,
    source_statement,
    suite_statement,
)
from signer.domain.digest import Digest
from signer.domain.subject import Subject
from signer.errors import Refused
from signer.evidence.cache import VerifiedCache
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.decision import decision_document, subjects_document
from signer.formats.facts import encode_facts
from signer.formats.findings import encode_findings
from signer.formats.rfc3339 import format_time
from signer.formats.spki import keyid, spki_der
from signer.formats.strict_base64 import encode_base64
from signer.ledger.documents import StoredDocument
from signer.ledger.gate import genesis, ledger_vkey, open_ledger
from signer.ledger.guard import Guard
from signer.ledger.leaves import Activation, Decision, Evidence, Genesis, Key, PolicyRef, decode_leaf
from signer.ledger.reader import Reader
from signer.ledger.sequencer import Entry, Sequencer
from signer.ledger.store import DocumentStore, Intake
from signer.pack.layout import lay_out
from signer.pack.manifest import build_manifest, sign_manifest
from signer.releases.gather import gather
from signer.releases.source import Source
from signer.telemetry.logs import open_log
from signer.telemetry.metrics import Metrics
from signer.web.app import create_app
from signer.web.application import Application
from signer.web.documents import Documents
from signer.web.expiry import TlsFiles
from signer.web.peer import WSGIEnvironment
from signer.web.quotas import Quotas
from signer.web.spool import Spool

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
MIB = 1024 * 1024
LIMIT, QUOTA, TOTAL = 20 * MIB, 24 * MIB, 32 * MIB
"""Of large documents."""
ORIGIN = "dev.invalid/signing-authority"
SUBJECT = Subject("shop.tar", (Digest("sha256", "9c" * 32),))
OTHER = Subject("other.tar", (Digest("sha256", "ab" * 32),))

ACCESS = """\
schema: signing-access/v1
metadata: {name: access, version: 1}
people:
  - {id: olga, sans: ["spiffe://dev.invalid/person/olga"]}
  - {id: developer, emails: [developer@dev.invalid]}
  - {id: reviewer, emails: [reviewer@dev.invalid]}
  - {id: maintainer, emails: [maintainer@dev.invalid]}
robots:
  - {id: ci, sans: ["spiffe://dev.invalid/robot/ci"]}
  - {id: other, sans: ["spiffe://dev.invalid/robot/other"]}
  - {id: auditor, sans: ["spiffe://dev.invalid/robot/auditor"]}
  - {id: slow, sans: ["spiffe://dev.invalid/robot/slow"]}
  - {id: idle, sans: ["spiffe://dev.invalid/robot/idle"]}
grants:
  - {to: "robot:ci", actions: [sign, check, evidence, read], policies: [demo], environments: [release],
     repositories: ["github.com/acme/shop"]}
  - {to: "robot:other", actions: [sign, check], policies: [demo], environments: [release],
     repositories: ["github.com/acme/elsewhere"]}
  - {to: "robot:slow", actions: [check], policies: [demo], environments: [release], repositories: ["*"]}
  - {to: "robot:auditor", actions: [audit], policies: ["*"], environments: ["*"], repositories: ["*"]}
  - {to: "person:olga", actions: [halt], policies: ["*"], environments: ["*"], repositories: ["*"]}
quotas:
  - {to: "robot:ci", requestsPerMinute: 100000, evidenceBytes: 1000000}
  - {to: "robot:slow", requestsPerMinute: 2, evidenceBytes: 0}
"""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one pipeline."""

    builder: ec.EllipticCurvePrivateKey
    scanner: ec.EllipticCurvePrivateKey
    source: ec.EllipticCurvePrivateKey
    stranger: ec.EllipticCurvePrivateKey
    release: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls) -> Keys:
        return cls(*(ec.generate_private_key(ec.SECP256R1()) for _ in range(5)))


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def render_policy(keys: Keys, *, name: str = "demo") -> bytes:
    return library.render(
        "better",
        name=name,
        builder_id=BUILDER_ID,
        builder_key=pem(keys.builder),
        scanner_key=pem(keys.scanner),
        source_key=pem(keys.source),
        source_verifier=VERIFIER_ID,
        repository=REPOSITORY,
    )


@dataclass(slots=True)
class Custodian:
    """Judges with the real policy and keeps evidence in the real ledger; holds no key and signs nothing."""

    sequencer: Sequencer
    reader: Reader
    intake: Intake
    store: Path
    ledger_key: Ed25519PrivateKey
    asked: list[Command] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    """Answered first, in order, before anything is judged."""

    def ask(self, command: Command) -> Reply:  # noqa: PLR0911 - one line for each command
        self.asked.append(command)
        if self.replies:
            return self.replies.pop(0)
        match command:
            case Decide(judge=judge):
                return self._decide(judge)
            case Check(judge=judge):
                return Checked(decision=self._judge(judge, leaf=None)[1])
            case KeepEvidence():
                return self._keep(command)
            case Halt() | Resume() | RecordDeployment() | RevokeRelease():
                return Done(leaf=7)
            case SealPack():
                return self._seal(command)
            case Status():
                return StatusReport(
                    ready=True,
                    halted=False,
                    tree_size=3,
                    origin=ORIGIN,
                    problems=(),
                    keys=(),
                    proofs=(KeyProof(name="release", proved="2026-11-23T10:00:00.000000Z", probes=7, failed=1),),
                )
            case _:
                raise AssertionError(command)

    def _seal(self, command: SealPack) -> Reply:
        source = Source(self.reader, DocumentStore(self.store))
        contents = gather(source, command.sha256, size=command.size or None)
        manifest = sign_manifest(build_manifest(contents, lay_out(contents)), self.ledger_key)
        return Sealed(size=contents.size, manifest=manifest)

    def _judge(self, judge: Judge, *, leaf: int | None) -> tuple[Verdict, bytes, Facts, bytes]:
        active = self.reader.active("policy", judge.policy)
        assert active is not None
        policy = parse_policy(active.data)
        subjects = [Subject(name, tuple(Digest(*digest) for digest in digests)) for name, digests in judge.subjects]
        facts = Facts(
            request=RequestFacts(
                policy=judge.policy,
                environment=judge.environment,
                submitter=judge.principal,
                subjects=tuple(SubjectFact(name=each.name, sha256=each.sha256) for each in subjects),
            ),
            evidence=judge.facts,
            ledger=LedgerFacts(policy_digest=judge.policy_digest, access_digest=judge.access_digest),
        )
        decision = evaluate(policy, facts, now=NOW)
        questions, digest = recorded_answers(
            decision.findings,
            policy_digest=policy.digest,
            environment=judge.environment,
            subjects=((subject.name, subject.sha256) for subject in subjects),
        )
        document = decision_document(
            request_id=judge.request_id,
            time=NOW,
            verdict=decision.verdict,
            policy=(policy.name, policy.version, policy.digest),
            access=judge.access_digest,
            environment=judge.environment,
            principal=judge.principal,
            subjects=subjects,
            findings=decision.findings,
            matrix=matrix(policy, decision),
            questions=question_objects(questions),
            answers=digest,
            leaf=leaf,
        )
        return decision.verdict, document, facts, encode_findings(decision)

    def _decide(self, judge: Judge) -> Reply:
        leaf = self.reader.head().size
        verdict, document, facts, findings = self._judge(judge, leaf=leaf)
        subjects = [Subject(name, tuple(Digest(*digest) for digest in digests)) for name, digests in judge.subjects]
        active = self.reader.active("policy", judge.policy)
        assert active is not None
        documents = (
            StoredDocument.of(subjects_document(subjects)),
            StoredDocument.of(encode_facts(facts)),
            StoredDocument.of(findings),
            StoredDocument.of(canonical({"evidence": []})),
        )
        entry = Decision(
            time=format_time(NOW),
            request=judge.request_id,
            principal=judge.principal,
            policy=PolicyRef(name=active.name, version=active.version, digest=active.digest),
            access=judge.access_digest,
            environment=judge.environment,
            verdict=verdict.value,
            subjects=documents[0].digest,
            facts=documents[1].digest,
            findings=documents[2].digest,
            evidence=documents[3].digest,
            first=subjects[0].sha256,
            count=len(subjects),
        )
        self.sequencer.append([Entry(entry, documents)])
        if verdict is Verdict.ALLOW:
            return Signed(request_id=judge.request_id, receipt=canonical({"receipt": judge.request_id}))
        return NotSigned(request_id=judge.request_id, leaf=leaf, decision=document)

    def _keep(self, command: KeepEvidence) -> Reply:
        leaves = []
        for item in command.items:
            if isinstance(item, SpooledItem):
                copy = self.intake.begin(command.principal, item.digest, item.size)
                while not copy.step():
                    pass
            size = item.size if isinstance(item, SpooledItem) else len(item.data)
            subjects = StoredDocument.of(canonical({"subjects": list(item.subjects)}))
            leaf = Evidence(
                time=format_time(NOW),
                digest=item.digest,
                media_type=item.media_type,
                predicate=item.kind,
                subjects=subjects.digest,
                size=size,
                principal=command.principal,
                policy=command.policy,
            )
            documents = (
                (subjects,)
                if isinstance(item, SpooledItem)
                else (StoredDocument(item.digest, item.media_type, item.data), subjects)
            )
            leaves.append((item.digest, self.sequencer.append([Entry(leaf, documents)]).first))
        return Kept(leaves=tuple(leaves))


@dataclass(slots=True)
class World:
    """Everything that a test of web touches."""

    app: Flask
    application: Application
    custodian: Custodian
    keys: Keys
    sequencer: Sequencer
    log: io.BytesIO
    folder: Path
    registry: CollectorRegistry
    ledger_key: Ed25519PrivateKey
    san: str = "spiffe://dev.invalid/robot/ci"
    """The SAN of whoever calls next."""

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def hold(self, request: str = "ab" * 16) -> Decision:
        """A hold on what the last decision was made of."""
        row = self.application.reader.decisions(limit=1)[0]
        leaf = decode_leaf(self.application.reader.leaf(row.leaf))
        assert isinstance(leaf, Decision)
        held = msgspec.structs.replace(leaf, request=request, verdict="hold", cited="2" * 64, answers="3" * 64)
        self.sequencer.append([Entry(held)])
        return held

    def activate(self, document: str, name: str, version: int, data: bytes) -> None:
        leaf = Activation(
            time=format_time(NOW),
            document=document,
            name=name,
            version=version,
            digest=sha256_hex(data),
            principal="person:olga",
            signatures=(),
        )
        self.sequencer.append([Entry(leaf, (StoredDocument.of(data, media_type="application/yaml"),))])

    def attestations(self, subject: Subject = SUBJECT) -> dict[str, bytes]:
        """Attestations that the policy `demo` accepts together."""
        keys, before = self.keys, NOW - timedelta(hours=1)
        return {
            "provenance": attest(provenance_statement([subject], finished=before), keys.builder),
            "source": attest(source_statement(verified=before), keys.source),
            "tests": attest(suite_statement([subject]), keys.builder),
            "scan": attest(scan_statement([subject], finished=before), keys.scanner),
            "sbom": attest(sbom_statement([subject], created=before), keys.builder),
            "review": attest(review_statement(), keys.source),
        }

    def body(
        self, evidence: Sequence[bytes] | None = None, *, subjects: Sequence[Subject] = (SUBJECT,), **changes: Any
    ) -> dict[str, Any]:
        """The body of a request for a signature."""
        offered = list(self.attestations().values()) if evidence is None else evidence
        return {
            "policy": "demo",
            "environment": "release",
            "subjects": [
                {"name": subject.name, "digest": {digest.algorithm: digest.value for digest in subject.digests}}
                for subject in subjects
            ],
            "evidence": [item(data) for data in offered],
        } | changes

    def log_lines(self) -> list[Mapping[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


def item(data: bytes) -> dict[str, str]:
    return {"content": encoded(data)}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write_certificate(world: World, *, ends: timedelta) -> None:
    key = world.keys.release
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=2))
        .not_valid_after(NOW + ends)
        .sign(key, hashes.SHA256())
    )
    world.application.tls.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))


def build_world(folder: Path, *, keys: Keys, change: Callable[[Application], Application] = lambda same: same) -> World:
    engine = open_engine(f"sqlite:///{folder}/ledger.db", read_only=False)
    ledger_key, guard = Ed25519PrivateKey.generate(), Guard(folder / "guard")
    spki = spki_der(keys.release.public_key())
    time = format_time(NOW - timedelta(days=1))
    genesis(
        engine,
        leaf=Genesis(
            time=time,
            origin=ORIGIN,
            dev=True,
            threshold=1,
            owners=(encode_base64(spki),),
            ledger_key=ledger_vkey(ORIGIN, ledger_key),
        ),
        then=[
            Entry(
                Key(
                    time=time,
                    event="created",
                    name="release",
                    kid=keyid(spki),
                    purpose="statement",
                    algorithm="ecdsa-p256-sha256",
                    spki=encode_base64(spki),
                    principal="person:olga",
                )
            )
        ],
        ledger_key=ledger_key,
        guard=guard,
    )
    sequencer = open_ledger(engine, origin=ORIGIN, ledger_key=ledger_key, guard=guard, now=NOW)
    reader = Reader(engine)
    log = io.BytesIO()
    intake = Intake(folder / "store", spool=folder / "spool")
    (folder / "spool").mkdir()
    intake.prepare(lambda _digest: True)
    custodian = Custodian(sequencer, reader, intake, folder / "store", ledger_key)
    counter = iter(range(2**64))
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    world: World

    def peer(_environ: WSGIEnvironment) -> str:
        if not world.san:
            raise Refused("client-identity-required", "no certificate")
        return world.san

    application = change(
        Application(
            reader=reader,
            custodian=custodian,
            guard=Guard(folder / "guard"),
            revocations=folder / "revocations.json",
            documents=Documents(reader),
            verified=VerifiedCache(count=metrics.count_cached),
            store=DocumentStore(folder / "store"),
            spool=Spool(folder / "spool", limit=LIMIT, quota=QUOTA, total=TOTAL),
            wide=threading.Lock(),
            quotas=Quotas(workers=1, monotonic=lambda: 0.0),
            metrics=metrics,
            log=open_log(log, room="web"),
            peer=peer,
            clock=lambda: NOW,
            new_request_id=lambda: f"{next(counter):032x}",
            body_limit=4 * 1024 * 1024,
            tls=TlsFiles(certificate=folder / "server.pem"),
            metrics_directory=folder / "metrics",
        )
    )
    world = World(create_app(application), application, custodian, keys, sequencer, log, folder, registry, ledger_key)
    world.activate("policy", "demo", 1, render_policy(keys))
    world.activate("access", "access", 1, ACCESS.encode())
    return world


__all__ = ["ACCESS", "COMMIT", "NOW", "OTHER", "SUBJECT", "Keys", "World", "build_world", "item", "write_certificate"]
