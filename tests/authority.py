# SPDX-License-Identifier: Apache-2.0
"""A real authority for tests: genesis, owners, documents in force, a SoftHSM key, trust, and a custodian process.

authority = LiveAuthority.found(tmp_path)
with authority.running():
    reply = authority.client.ask(Decide(judge=authority.judge(evidence)))
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from policy.document import parse_policy
from policy.library import render
from signer.custodian.client import CustodianClient
from signer.custodian.commands import (
    Activate,
    AddKey,
    Command,
    Decide,
    EvidenceItem,
    Idempotency,
    Judge,
    Reply,
    Status,
    StatusReport,
    UpdateTrust,
)
from signer.db.engine import open_engine
from signer.dev import attestations
from signer.dev.token import SoftToken, ensure_token
from signer.domain.algorithm import parse_algorithm
from signer.domain.subject import Subject
from signer.errors import Misconfigured, Unavailable
from signer.evidence.facts import Stored, evidence_facts, requested_source_digests
from signer.evidence.verifier import (
    Evidence,
    TrustedKeys,
    UnverifiedAttestation,
    VerifiedAttestation,
    index_digests,
    verify_item,
)
from signer.formats.canonical import sha256_hex
from signer.formats.opaque import KINDS, described_document
from signer.formats.owner_act import Action, OwnerAct, sign_owner_act
from signer.formats.rfc3339 import format_time
from signer.formats.spki import spki_der, spki_pem
from signer.formats.strict_base64 import encode_base64
from signer.formats.trust import TrustDocument, TrustKey, build_trust_document, parse_trust_file
from signer.identity.access import parse_access
from signer.ledger.documents import StoredDocument
from signer.ledger.gate import genesis, ledger_vkey
from signer.ledger.guard import Guard
from signer.ledger.leaves import Genesis
from signer.ledger.persons import Persons
from signer.ledger.reader import Reader
from signer.ledger.rows import ActiveDocument, IndexedEvidence
from signer.settings import Settings, load_settings
from signer.tlog.merkle import leaf_hash

ORIGIN = "test.invalid/authority"
POLICY, ENVIRONMENT, KEY = "demo", "release", "release"
LABEL = "signer"
ROBOT = "robot:ci"
SUBJECT = Subject.of("shop.tar", {"sha256": "9c" * 32})
START = 20.0

TEAM = """\
  - {id: developer, emails: [developer@dev.invalid]}
  - {id: reviewer, emails: [reviewer@dev.invalid]}
  - {id: maintainer, emails: [maintainer@dev.invalid]}
"""
"""Whom the review records of the demo pipeline name, as the access document knows them."""

ACCESS = """\
schema: signing-access/v1
metadata: {name: access, version: %d}
people:
  - {id: alice, sans: ["spiffe://test.invalid/person/alice"], emails: [alice@test.invalid]}
  - {id: bob, sans: ["spiffe://test.invalid/person/bob"], emails: [bob@test.invalid]}
  - {id: developer, emails: [developer@dev.invalid]}
  - {id: reviewer, emails: [reviewer@dev.invalid]}
  - {id: maintainer, emails: [maintainer@dev.invalid]}
robots:
  - {id: ci, sans: ["spiffe://test.invalid/robot/ci"]}
  - {id: reader, sans: ["spiffe://test.invalid/robot/reader"]}
grants:
  - {to: "robot:ci", actions: [sign, check, evidence, read], policies: ["*"], environments: ["*"], repositories: ["*"]}
  - {to: "robot:reader", actions: [read], policies: ["*"], environments: ["*"], repositories: ["*"]}
  - {to: "person:alice", actions: [sign, halt], policies: ["*"], environments: ["*"], repositories: ["*"]}
"""


def access_document(*, version: int = 1) -> bytes:
    return (ACCESS % version).encode()


@dataclass
class LiveAuthority:
    """Everything under one directory; `running` starts the custodian as its own process."""

    directory: Path
    settings: Settings
    token: SoftToken
    owners: tuple[Ed25519PrivateKey, ...]
    signers: Mapping[str, ec.EllipticCurvePrivateKey]
    """builder, scanner and source: whom the demo policy trusts."""
    policy_bytes: bytes
    access_bytes: bytes
    now: datetime
    process: subprocess.Popen[bytes] | None = None
    _clients: list[CustodianClient] = field(default_factory=list)

    @classmethod
    def found(
        cls,
        directory: Path,
        *,
        level: str = "better",
        workers: int = 1,
        queue: int = 1024,
        token_deadline: float = 5.0,
        probe_interval: float = 0,
        threshold: int = 2,
        devices: str | None = None,
        module: Path | None = None,
        environment: Mapping[str, str] | None = None,
        algorithm: str = "ecdsa-p256-sha256",
        database: str = "",
    ) -> LiveAuthority:
        """Genesis and documents on disk; no process yet, no key yet.

        `database` is the URL of the ledger's own, by default of a SQLite file.
        `devices` are settings of keys and devices instead of those of the SoftHSM token; `module` stands in front of
        it, with its `environment`.
        """
        now = datetime.now(UTC)
        folder = directory / "token"
        folder.mkdir(parents=True)
        (directory / "state").mkdir()
        token = ensure_token(folder)
        signers = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("builder", "scanner", "source")}
        owners = tuple(Ed25519PrivateKey.generate() for _ in range(2))
        ledger_key = Ed25519PrivateKey.generate()
        key_file = directory / "state" / "ledger.key"
        key_file.write_bytes(ledger_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key_file.chmod(0o600)
        config = directory / "signer.toml"
        config.write_text(
            _settings(
                directory, queue=queue, token_deadline=token_deadline, probe_interval=probe_interval, database=database
            )
            + (
                devices
                or _token(token, workers=workers, module=module, environment=environment or {}, algorithm=algorithm)
            ),
            "utf-8",
        )
        settings = load_settings(config)
        authority = cls(
            directory=directory,
            settings=settings,
            token=token,
            owners=owners,
            signers=signers,
            policy_bytes=demo_policy(signers, level=level),
            access_bytes=access_document(),
            now=now,
        )
        engine = open_engine(settings.ledger.database, read_only=False)
        leaf = Genesis(
            time=format_time(now),
            origin=ORIGIN,
            dev=False,
            threshold=threshold,
            owners=tuple(encode_base64(spki_der(owner.public_key())) for owner in owners),
            ledger_key=ledger_vkey(ORIGIN, ledger_key),
        )
        genesis(engine, leaf=leaf, then=(), ledger_key=ledger_key, guard=Guard(settings.ledger.guard))
        engine.dispose()
        persons = open_engine(settings.ledger.persons, read_only=False)
        Persons(persons)
        persons.dispose()
        return authority

    @property
    def spool(self) -> Path:
        """Where uploads come in."""
        return self.directory / "spool"

    # The process

    def start(self) -> None:
        """Start the custodian and wait until it answers."""
        self.spool.mkdir(exist_ok=True)
        log = (self.directory / "custodian.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__)), str(self.directory / "signer.toml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START
        while True:
            try:
                self.status()
            except Unavailable:
                assert self.process.poll() is None, f"the custodian ended: {self.log()}"
                assert time.monotonic() < deadline, f"the custodian does not answer: {self.log()}"
                time.sleep(0.01)
            else:
                return

    def kill_token_worker(self) -> None:
        """End the worker of the token; the custodian starts another, which logs in and looks for its keys."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            child.kill()

    def refuses_to_start(self) -> str:
        """Start the custodian, which must end with exit code 78; its last line."""
        with pytest.raises(AssertionError):
            self.start()
        assert self.process is not None
        assert self.process.wait(START) == 78
        self.process = None
        return self.log().strip().rsplit("\n", 1)[1]

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """End the custodian; its exit code."""
        assert self.process is not None
        self.process.send_signal(sig)
        code = self.process.wait(START)
        self.process = None
        for client in self._clients:
            client.close()
        return code

    @contextmanager
    def running(self, *, ready: bool = True) -> Iterator[LiveAuthority]:
        """A custodian for a while; `ready` puts documents in force, makes the key and publishes trust."""
        self.start()
        try:
            if ready:
                self.set_up()
            yield self
        finally:
            if self.process is not None:
                self.stop(signal.SIGTERM if self.process.poll() is None else signal.SIGKILL)

    def log(self) -> str:
        return (self.directory / "custodian.log").read_text("utf-8", "replace")

    def workers(self) -> list[psutil.Process]:
        """The token workers that live now."""
        assert self.process is not None
        return psutil.Process(self.process.pid).children()

    # Asking

    def new_client(self, *, admin: bool = False, timeout: float = 30.0) -> CustodianClient:
        path = self.settings.custodian.admin_socket if admin else self.settings.custodian.socket
        client = CustodianClient(path, timeout=timeout)
        self._clients.append(client)
        return client

    def ask(self, command: Command, *, admin: bool = False) -> Reply:
        client = self.new_client(admin=admin)
        try:
            return client.ask(command)
        finally:
            client.close()

    def status(self) -> StatusReport:
        reply = self.ask(Status())
        assert isinstance(reply, StatusReport)
        return reply

    def wait_until_ready(self, within: float = START) -> StatusReport:
        deadline = time.monotonic() + within
        while not (report := self.status()).ready:
            assert time.monotonic() < deadline, report.problems
            time.sleep(0.02)
        return report

    def reader(self) -> Reader:
        return Reader(open_engine(self.settings.ledger.database, read_only=True))

    # Owners

    def set_up(self) -> None:
        """Documents in force, the release key made, trust published: whatever of it is missing."""
        reader = self.reader()
        if not reader.active_all("policy"):
            self.activate("policy", self.policy_bytes)
        if not reader.active_all("access"):
            self.activate("access", self.access_bytes)
        if not reader.keys():
            self.add_key()
        if reader.trust() is None:
            self.publish_trust()

    def sign_act(self, action: Action, number: int, sha256: str, *, owners: int = 2) -> tuple[bytes, ...]:
        act = OwnerAct(action, number, ORIGIN, sha256)
        return tuple(sign_owner_act(act, owner) for owner in self.owners[:owners])

    def activate(self, document: str, data: bytes, *, owners: int = 2) -> Reply:
        version = parse_policy(data).version if document == "policy" else parse_access(data).version
        signatures = self.sign_act(
            "policy" if document == "policy" else "access", version, sha256_hex(data), owners=owners
        )
        return self.ask(
            Activate(principal="operator:0", document=document, data=data, signatures=signatures), admin=True
        )

    def add_key(self, name: str = KEY) -> Reply:
        return self.ask(AddKey(principal="operator:0", name=name, generate=True), admin=True)

    def trust_document(self, *, version: int = 1, status: str = "active") -> bytes:
        reader = self.reader()
        events = reader.keys()
        return build_trust_document(
            TrustDocument(
                version=version,
                origin=ORIGIN,
                genesis=leaf_hash(reader.leaf(0)).hex(),
                dev=False,
                verifier=f"https://{ORIGIN}",
                ledger_keys=(self.ledger_vkey,),
                threshold=2,
                owners=tuple(spki_der(owner.public_key()) for owner in self.owners),
                keys=tuple(
                    TrustKey(
                        name=row.name,
                        kid=row.kid,
                        spki=row.spki,
                        purpose=row.purpose,
                        algorithm=parse_algorithm(row.algorithm),
                        status="active" if status == "active" else "retired",
                        not_before=self.now,
                        not_after=None,
                    )
                    for row in events
                ),
            )
        )

    @property
    def ledger_vkey(self) -> str:
        from signer.ledger.leaves import decode_leaf  # noqa: PLC0415 - loaded on use, so that others never load it

        leaf = decode_leaf(self.reader().leaf(0))
        assert isinstance(leaf, Genesis)
        return leaf.ledger_key

    def publish_trust(self, *, version: int = 1, status: str = "active") -> Reply:
        data = self.trust_document(version=version, status=status)
        signatures = self.sign_act("trust", version, sha256_hex(data))
        return self.ask(UpdateTrust(principal="operator:0", data=data, signatures=signatures), admin=True)

    def trust(self) -> TrustDocument:
        row = self.reader().trust()
        assert row is not None
        return parse_trust_file(row.file).trust

    # What web would do

    def evidence(self, *subjects: Subject) -> tuple[bytes, ...]:
        """Attestations under which the demo policy allows these subjects."""
        return demo_evidence(self.signers, *subjects)

    def judge(self, evidence: Sequence[bytes], *subjects: Subject, principal: str = ROBOT) -> Judge:
        """The command's content, gathered as web does."""
        return gather(self.reader(), evidence, *subjects, principal=principal)

    def decide(self, evidence: Sequence[bytes] | None = None, *subjects: Subject, key: str | None = None) -> Decide:
        """A decide command; by default one that the demo policy allows."""
        given = self.evidence(*subjects) if evidence is None else evidence
        body = sha256_hex(b"".join(given))
        return Decide(
            judge=self.judge(given, *subjects),
            idempotency=None if key is None else Idempotency(key=sha256_hex(key.encode()), body=body),
        )


class GatherReader(Protocol):
    """What web reads of the ledger to make a judge command."""

    def active_all(self, document: str) -> tuple[ActiveDocument, ...]: ...
    def evidence(self, digest: str) -> IndexedEvidence | None: ...
    def evidence_for(self, subject_digests: Sequence[str]) -> tuple[IndexedEvidence, ...]: ...
    def document(self, digest: str) -> StoredDocument | None: ...


def demo_evidence(
    signers: Mapping[str, ec.EllipticCurvePrivateKey],
    *subjects: Subject,
    now: datetime | None = None,
    triggered_by: str | None = None,
) -> tuple[bytes, ...]:
    """Attestations under which the demo policy allows these subjects; of this moment, where no other is given."""
    about = subjects or (SUBJECT,)
    finished = (now or datetime.now(UTC)) - timedelta(minutes=5)
    builder, scanner, source = signers["builder"], signers["scanner"], signers["source"]
    return (
        attestations.attest(
            attestations.provenance_statement(about, finished=finished, triggered_by=triggered_by), builder
        ),
        attestations.attest(attestations.source_statement(verified=finished), source),
        attestations.attest(attestations.suite_statement(about), builder),
        attestations.attest(attestations.scan_statement(about, finished=finished), scanner),
        attestations.attest(attestations.sbom_statement(about, created=finished), builder),
        attestations.attest(attestations.review_statement(), source),
    )


def gather(
    reader: GatherReader,
    evidence: Sequence[bytes],
    *subjects: Subject,
    principal: str = ROBOT,
    request_id: str | None = None,
) -> Judge:
    """The content of a decide or check command, gathered as web does."""
    about = subjects or (SUBJECT,)
    policy = parse_policy(reader.active_all("policy")[0].data)
    trusted = TrustedKeys.of(policy.trust.keys)
    items: dict[str, Evidence] = {}
    stored: dict[str, Stored] = {}
    offered: dict[str, bytes] = {}
    for data in evidence:
        item = verify_item(data, trusted)
        items[item.digest] = item
        offered[item.digest] = data
        held = reader.evidence(item.digest)
        if held is not None:
            stored[held.digest] = Stored(held.leaf, held.principal)

    def recall(digests: Sequence[str]) -> None:
        for held in reader.evidence_for(digests) if digests else ():
            stored[held.digest] = Stored(held.leaf, held.principal)
            if held.kind in KINDS:
                items[held.digest] = described_document(
                    held.digest, kind=held.kind, media_type=held.media_type, subjects=held.subjects
                )
            elif held.digest not in items:
                document = reader.document(held.digest)
                assert document is not None
                items[held.digest] = verify_item(document.data, trusted)

    recall([f"sha256:{subject.sha256}" for subject in about])
    facts = evidence_facts(tuple(items.values()), policy=policy, subjects=about, stored=stored)
    for _ in range(2):  # commits that provenance names, then trees that their records name
        recall(requested_source_digests(facts))
        facts = evidence_facts(tuple(items.values()), policy=policy, subjects=about, stored=stored)
    return Judge(
        request_id=request_id or secrets.token_hex(16),
        principal=principal,
        policy=POLICY,
        environment=ENVIRONMENT,
        policy_digest=policy.digest,
        access_digest=reader.active_all("access")[0].digest,
        subjects=tuple((each.name, tuple((d.algorithm, d.value) for d in each.digests)) for each in about),
        facts=facts,
        used=tuple(
            digest for digest, item in items.items() if digest in stored or not isinstance(item, UnverifiedAttestation)
        ),
        new=tuple(
            item_of(offered[digest], item)
            for digest, item in items.items()
            if digest not in stored and isinstance(item, VerifiedAttestation)
        ),
    )


def item_of(data: bytes, item: VerifiedAttestation) -> EvidenceItem:
    return EvidenceItem(
        digest=item.digest, media_type=item.media_type, kind=item.kind, subjects=index_digests(item), data=data
    )


def demo_policy(signers: Mapping[str, ec.EllipticCurvePrivateKey], *, level: str = "better", version: int = 1) -> bytes:
    """The library's policy for the demo signers."""
    pems = {name: spki_pem(key.public_key()) for name, key in signers.items()}
    data = render(
        "better" if level == "better" else "minimum",
        name=POLICY,
        builder_id=attestations.BUILDER_ID,
        builder_key=pems["builder"],
        scanner_key=pems["scanner"],
        source_key=pems["source"],
        source_verifier=attestations.VERIFIER_ID,
        repository=attestations.REPOSITORY,
        key=KEY,
        environment=ENVIRONMENT,
    )
    return data.replace(b"version: 1", b"version: %d" % version, 1)


def subject(number: int) -> Subject:
    """A distinct subject."""
    return Subject.of(f"shop-{number}.tar", {"sha256": sha256_hex(number.to_bytes(8))})


def _settings(directory: Path, *, queue: int, token_deadline: float, probe_interval: float, database: str) -> str:
    state, uid = directory / "state", os.getuid()
    return f"""\
origin = "{ORIGIN}"
[ledger]
database = "{database or f"sqlite:///{state}/ledger.db"}"
persons = "sqlite:///{state}/persons.db"
guard = "{state}/guard"
key = "{state}/ledger.key"
[custodian]
socket = "{directory}/web.sock"
admin_socket = "{directory}/admin.sock"
web_uids = [{uid}]
admin_uids = [{uid}]
queue = {queue}
token_deadline = {token_deadline}
probe_interval = {probe_interval}
[documents]
spool = "{directory}/spool"
store = "{state}/documents"
limit = {128 * 1024 * 1024}
[web]
bind = "127.0.0.1:8443"
certificate = "{directory}/server.pem"
key = "{directory}/server.key"
client_ca = "{directory}/ca.pem"
"""


def _token(
    token: SoftToken, *, workers: int, module: Path | None, environment: Mapping[str, str], algorithm: str
) -> str:
    variables = {"SOFTHSM2_CONF": str(token.configuration), **environment}
    return f"""\
[[keys]]
name = "{KEY}"
uri = "pkcs11:token={LABEL};object=release;id=%01"
purpose = "statement"
algorithm = "{algorithm}"
[[keys]]
name = "spare"
uri = "pkcs11:token={LABEL};object=spare;id=%02"
purpose = "statement"
algorithm = "ecdsa-p256-sha256"
[[tokens]]
label = "{LABEL}"
module = "{module or token.module}"
pin_file = "{token.pin_file}"
workers = {workers}
environment = {{{", ".join(f'{name} = "{value}"' for name, value in variables.items())}}}
"""


def main(config: Path) -> int:
    from signer.wiring import run_custodian  # noqa: PLC0415 - loaded on use, so that others never load it

    try:
        return run_custodian(load_settings(config), dev_supervisor=None)
    except Misconfigured as fault:
        sys.stderr.write(f"{fault}; {fault.remedy}\n")
        return 78


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
