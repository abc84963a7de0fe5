# SPDX-License-Identifier: Apache-2.0
"""Releases whose packs are made and verified: decided by the real authority, recorded in a real ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.custodian.commands import Decide, Done, EvidenceItem, KeepEvidence, NotSigned, Reply, Signed, UpdateTrust
from signer.custodian.release_commands import RecordDeployment, RevokeRelease
from signer.db.engine import open_engine
from signer.domain.algorithm import Algorithm
from signer.domain.purpose import Purpose
from signer.domain.subject import Subject
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.rfc3339 import format_time
from signer.formats.spki import keyid, spki_der
from signer.formats.strict_base64 import encode_base64
from signer.formats.trust import TrustKey, parse_trust_file
from signer.formats.ustar import write_archive
from signer.ledger import leaves
from signer.ledger.gate import genesis, ledger_vkey
from signer.ledger.guard import Guard
from signer.ledger.leaves import decode_leaf
from signer.ledger.packs import Packs
from signer.ledger.reader import Reader
from signer.ledger.sequencer import Entry
from signer.pack.layout import MANIFEST, ROOT, lay_out
from signer.pack.manifest import build_manifest, sign_manifest
from signer.releases.contents import Contents
from signer.releases.gather import gather
from signer.releases.source import Source
from tests.authority import ORIGIN, SUBJECT, access_document
from tests.unit.custodian.world import KEY_URI, LEDGER_KEY, NOW, World

GRANTS = b"""  - {to: "robot:reader", actions: [deploy, audit, evidence], policies: ["*"], environments: ["*"],
     repositories: ["*"]}
  - {to: "person:bob", actions: [revoke], policies: ["*"], environments: ["*"], repositories: ["*"]}
"""
KINDS = ("pull-request-summary", "commit-range", "build-log", "runner-metadata", "rollback-plan")


class Release(World):
    """The authority of the custodian's tests, owned by the ledger key that signs checkpoints and packs."""

    configured = (
        *World.configured,
        ("images", KEY_URI.replace("%01", "%03"), "image", "ecdsa-p256-sha256"),
        ("files", KEY_URI.replace("%01", "%04"), "artifact", "ecdsa-p256-sha256"),
    )

    def __init__(self, *, ledger_key: Ed25519PrivateKey = LEDGER_KEY, level: str = "better") -> None:
        self.ledger_key = ledger_key
        super().__init__(level=level)
        assert isinstance(self.ask(self.activation("access", 2, access_document(version=2) + GRANTS)), Done)

    def genesis(self) -> leaves.Genesis:
        made = super().genesis()
        return leaves.Genesis(
            time=made.time,
            origin=ORIGIN,
            dev=False,
            threshold=2,
            owners=made.owners,
            ledger_key=ledger_vkey(ORIGIN, self.ledger_key),
        )

    def trust_document(self, **changes: Any) -> bytes:
        return super().trust_document(**{"ledger_keys": (ledger_vkey(ORIGIN, self.ledger_key),), **changes})

    @property
    def trust(self) -> bytes:
        row = self.ledger.trust()
        assert row is not None
        return row.file

    def sign_outputs(self) -> None:
        """Keys for images and artifacts, listed by the owners and named by the policy in force."""
        listed = []
        for name, purpose in (("images", Purpose.IMAGE), ("files", Purpose.ARTIFACT)):
            private = ec.generate_private_key(ec.SECP256R1())
            spki = spki_der(private.public_key())
            self.tokens.others[spki] = private
            leaf = leaves.Key(
                time=format_time(NOW),
                event="created",
                name=name,
                kid=keyid(spki),
                purpose=purpose,
                algorithm=Algorithm.ECDSA_P256,
                spki=encode_base64(spki),
                principal="operator",
            )
            self.ledger.append([Entry(leaf)])
            listed.append(
                TrustKey(
                    name=name,
                    kid=keyid(spki),
                    spki=spki,
                    purpose=purpose,
                    algorithm=Algorithm.ECDSA_P256,
                    status="active",
                    not_before=NOW - timedelta(hours=1),
                    not_after=None,
                )
            )
        self.authority = self.new_authority()
        (release,) = parse_trust_file(self.trust).trust.keys
        data = self.trust_document(version=2, keys=(release, *listed))
        signatures = self.sign("trust", 2, sha256_hex(data))
        assert isinstance(self.ask(UpdateTrust(principal="operator", data=data, signatures=signatures)), Done)
        policy = self.ledger.active_all("policy")[0].data.replace(b"version: 1", b"version: 2", 1)
        formats = b"formats: [vsa, cosign, artifact], imageKey: images, artifactKey: files"
        policy = policy.replace(b"formats: [vsa]", formats)
        assert isinstance(self.ask(self.activation("policy", 2, policy)), Done)

    # What happens to a release

    def signed(self, *subjects: Subject, evidence: Sequence[bytes] | None = None) -> str:
        """Have it signed; the request id."""
        reply = self.ask(self.decide(*subjects, evidence=evidence))
        assert isinstance(reply, Signed), reply
        return reply.request_id

    def deny(self, *subjects: Subject) -> None:
        assert isinstance(self.ask(self.denied(*subjects)), NotSigned)

    def forge(self, change: Callable[[Any], Any]) -> Reply:
        """Judge on facts that web has changed."""
        from msgspec.structs import replace  # noqa: PLC0415 - of commands; the other `replace` is of dataclasses

        judge = self.judge(self.evidence())
        return self.ask(Decide(judge=replace(judge, facts=change(judge.facts))))

    def keep(self, kind: str, data: bytes, *subjects: str) -> str:
        """Keep a document about the release; its digest."""
        item = EvidenceItem(
            digest=sha256_hex(data),
            media_type="text/plain",
            kind=kind,
            subjects=tuple(subjects or (f"sha256:{SUBJECT.sha256}",)),
            data=data,
        )
        command = KeepEvidence(request_id="ab" * 16, principal="robot:reader", policy="demo", items=(item,))
        assert type(self.ask(command)).__name__ == "Kept"
        return item.digest

    def approval_record(self, *, digest: str | None = None, reference: str = "shop.tar:1.2") -> None:
        record = {
            "reference": reference,
            "digest": digest,
            "environment": "release",
            "approver": "ada, by chat",
            "at": format_time(NOW),
            "source": "https://chat.invalid/1",
        }
        self.keep("approval-record", canonical(record))

    def deploy(self, **changes: Any) -> int:
        told = {
            "principal": "robot:reader",
            "policy": "demo",
            "environment": "release",
            "status": "deployed",
            "reference": f"shop.tar@sha256:{SUBJECT.sha256}",
            "sha256": SUBJECT.sha256,
            "at": format_time(NOW),
            "approval": "",
            "gate": None,
            **changes,
        }
        reply = self.ask(RecordDeployment(**told))
        assert isinstance(reply, Done), reply
        return reply.leaf

    def revoke(self) -> int:
        reply = self.ask(
            RevokeRelease(
                principal="person:bob", policy="demo", environment="release", sha256=SUBJECT.sha256, reason="backdoor"
            )
        )
        assert isinstance(reply, Done), reply
        return reply.leaf

    # The record

    def contents(self, folder: Path, subject: Subject = SUBJECT, *, prove: bool = True) -> Contents:
        return gather(self.written(folder).source, subject.sha256, prove=prove)

    def written(self, folder: Path) -> Written:
        """All leaves in a real ledger."""
        engine = open_engine(f"sqlite:///{folder}/ledger.db", read_only=False)
        first, *rest = (decode_leaf(body) for body in self.ledger.bodies)
        assert isinstance(first, leaves.Genesis)
        entries = [Entry(leaf) for leaf in rest]
        entries[0] = Entry(rest[0], tuple(self.ledger.documents.values()))
        with_guard = Guard(folder / "guard")
        genesis(engine, leaf=first, then=entries, ledger_key=self.ledger_key, guard=with_guard)
        with_guard.close()
        return Written(Source(Reader(engine), None), Packs(engine), self.ledger_key)

    def pack(self, folder: Path, subject: Subject = SUBJECT) -> bytes:
        return self.written(folder).pack(subject)


@dataclass(frozen=True, slots=True)
class Written:
    """A real ledger."""

    source: Source
    packs: Packs
    key: Ed25519PrivateKey

    def pack(self, subject: Subject = SUBJECT) -> bytes:
        contents = gather(self.source, subject.sha256)
        files = {file.path: file.data or b"" for file in lay_out(contents)}
        return archive(files | {MANIFEST: sign_manifest(build_manifest(contents, lay_out(contents)), self.key)})


def archive(files: dict[str, bytes]) -> bytes:
    """Files by their paths below the root, as an archive."""
    return b"".join(write_archive((f"{ROOT}{path}", len(files[path]), [files[path]]) for path in sorted(files)))
