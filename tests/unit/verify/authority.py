# SPDX-License-Identifier: Apache-2.0
"""A whole authority in memory: owners, keys, ledger and one signed release; every test alters one thing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policy.decision import Decision as Judgement, Finding, Outcome as RuleOutcome, Verdict
from signer.domain.algorithm import Algorithm
from signer.domain.digest import Digest
from signer.domain.purpose import Purpose
from signer.domain.subject import Subject
from signer.formats.bundle import build_bundle
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.decision import subjects_document
from signer.formats.dsse import IN_TOTO, pae
from signer.formats.findings import encode_findings
from signer.formats.owner_act import sign_owner_act
from signer.formats.receipt import PolicyVersion, ProvenLeaf, Receipt, ReceiptBundle, build_receipt
from signer.formats.rfc3339 import format_time
from signer.formats.spki import keyid, spki_der
from signer.formats.strict_base64 import encode_base64
from signer.formats.trust import TrustDocument, TrustKey, build_trust_document, encode_trust_file, trust_act
from signer.formats.vsa import build_vsa
from signer.ledger.leaves import (
    Decision,
    Genesis,
    HaltLeaf,
    Leaf,
    Outcome,
    PolicyRef,
    SignatureEntry,
    encode_leaf,
)
from signer.tlog.checkpoint import Checkpoint, sign_checkpoint
from signer.tlog.merkle import Edge, Prover, leaf_hash, node_hash, parents
from signer.tlog.note import NoteSigner
from signer.tlog.proof import encode_proof
from signer.tlog.tiles import HEIGHT, WIDTH, Tile, encode_entries, tile_width

ORIGIN = "sign.example/authority"
NOW = datetime(2026, 1, 23, 10, 0, 0, 1, tzinfo=UTC)
REQUEST = "5d41402abc4b2a76b9719d911017c592"
ARTIFACT = b"the artifact"
SUBJECT = Subject("shop.tar.gz", (Digest.of(ARTIFACT),))
POLICY_DIGEST = "ab" * 32
ACCESS_DIGEST = "cd" * 32

Edit = Callable[[Any], Any]


def same(value: Any) -> Any:
    return value


def p256(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(1000 + number, ec.SECP256R1())


OWNERS = tuple(p256(number) for number in (1, 2, 3))
RELEASE_KEY = p256(10)
LEDGER_KEY = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return spki_der(key.public_key())


def trust_key(key: ec.EllipticCurvePrivateKey = RELEASE_KEY, **changes: Any) -> TrustKey:
    der = spki(key)
    held = TrustKey(
        name="release",
        kid=keyid(der),
        spki=der,
        purpose=Purpose.STATEMENT,
        algorithm=Algorithm.ECDSA_P256,
        status="active",
        not_before=NOW - timedelta(days=30),
        not_after=None,
    )
    return replace(held, **changes)


def tile_of(hashes: Sequence[bytes], tile: Tile) -> bytes:
    """A hash tile of the tree over these leaf hashes."""
    assert tile.level is not None
    for _ in range(HEIGHT * tile.level):
        hashes = parents(hashes)
    return b"".join(hashes[tile.n * WIDTH : tile.n * WIDTH + tile.width])


@dataclass(slots=True)
class Authority:
    """Leaves so far, and everything needed to sign as this authority."""

    dev: bool = False
    origin: str = ORIGIN
    bodies: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.append(
            Genesis(
                time=format_time(NOW - timedelta(days=31)),
                origin=self.origin,
                dev=self.dev,
                threshold=2,
                owners=tuple(encode_base64(spki(owner)) for owner in OWNERS),
                ledger_key=str(self.notary().verifier),
            )
        )

    def notary(self) -> NoteSigner:
        return NoteSigner(self.origin, LEDGER_KEY)

    @property
    def verifier(self) -> str:
        return f"https://{self.origin}"

    def append(self, leaf: Leaf) -> int:
        self.bodies.append(encode_leaf(leaf))
        return len(self.bodies) - 1

    # The tree

    def _prover(self, size: int) -> Prover:
        hashed = [leaf_hash(body) for body in self.bodies[:size]]

        def node(level: int, n: int) -> bytes:
            if level == 0:
                return hashed[n]
            return node_hash(node(level - 1, 2 * n), node(level - 1, 2 * n + 1))

        return Prover(size, node=node)

    def checkpoint(self, size: int | None = None) -> bytes:
        size = len(self.bodies) if size is None else size
        edge = Edge(0, ())
        for body in self.bodies[:size]:
            edge = edge.append(leaf_hash(body))
        return sign_checkpoint(Checkpoint(self.origin, size, edge.root()), signer=self.notary()).encode()

    def proof(self, index: int) -> str:
        size = len(self.bodies)
        return encode_proof(index, self._prover(size).inclusion(index), self.checkpoint().decode())

    def tile(self, tile: Tile) -> bytes:
        if tile.level is None:
            return encode_entries(self.bodies[tile.n * WIDTH : tile.n * WIDTH + tile.width])
        return tile_of([leaf_hash(body) for body in self.bodies], tile)

    def write(self, folder: Path) -> None:
        """The ledger as files, as `signer publish --entries` writes them."""
        size = len(self.bodies)
        for level in range((size.bit_length() + HEIGHT - 1) // HEIGHT):
            for n in range(((size >> HEIGHT * level) + WIDTH - 1) // WIDTH):
                tile = Tile(level, n, tile_width(size, level=level, n=n))
                for each in (tile, *([Tile(None, n, tile.width)] if level == 0 else [])):
                    path = folder / each.path()
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(self.tile(each))
        (folder / "checkpoint").write_bytes(self.checkpoint())

    # Documents

    def trust_document(self, **changes: Any) -> TrustDocument:
        document = TrustDocument(
            version=1,
            origin=self.origin,
            genesis=leaf_hash(self.bodies[0]).hex(),
            dev=self.dev,
            verifier=self.verifier,
            ledger_keys=(str(self.notary().verifier),),
            threshold=2,
            owners=tuple(spki(owner) for owner in OWNERS),
            keys=(trust_key(),),
        )
        return replace(document, **changes)

    def trust(self, *, signers: tuple[ec.EllipticCurvePrivateKey, ...] = OWNERS[:2], **changes: Any) -> bytes:
        document = self.trust_document(**changes)
        data = build_trust_document(document)
        act = trust_act(data, document)
        return encode_trust_file(data, [sign_owner_act(act, signer) for signer in signers])

    # A release

    def release(
        self,
        *,
        key: ec.EllipticCurvePrivateKey = RELEASE_KEY,
        subjects: tuple[Subject, ...] = (SUBJECT,),
        payload: Edit = same,
        payload_type: str = IN_TOTO,
        finding: RuleOutcome = RuleOutcome.PASS,
        decision: Edit = same,
        outcome: Edit = same,
        receipt: Edit = same,
        **vsa: Any,
    ) -> Release:
        """Sign and record one release; each argument alters one step of it."""
        statement = payload(build_vsa(**({**self._vsa(subjects), **vsa})))
        signature = key.sign(pae(payload_type, statement), ec.ECDSA(hashes.SHA256()))
        kid = keyid(spki(key))
        bundle = build_bundle(payload_type=payload_type, payload=statement, keyid=kid, signature=signature)
        documents = (subjects_document(subjects), encode_findings(judgement(finding)))
        allowed = Decision(
            time=format_time(NOW),
            request=REQUEST,
            principal="robot:ci",
            policy=PolicyRef(name="demo", version=1, digest=POLICY_DIGEST),
            access=ACCESS_DIGEST,
            environment="release",
            verdict="allow",
            subjects=sha256_hex(documents[0]),
            facts="11" * 32,
            findings=sha256_hex(documents[1]),
            evidence="22" * 32,
            first=subjects[0].sha256,
            count=len(subjects),
        )
        at = self.append(decision(allowed))
        entry = SignatureEntry(
            format="vsa", payload=sha256_hex(statement), kid=kid, attempts=1, result="signed", bundle=sha256_hex(bundle)
        )
        ended = Outcome(
            time=format_time(NOW), request=REQUEST, decision=at, status="signed", reason="", signatures=(entry,)
        )
        after = self.append(outcome(ended))
        kept = Receipt(
            request_id=REQUEST,
            environment="release",
            policy=PolicyVersion("demo", 1, POLICY_DIGEST),
            decision=ProvenLeaf(at, self.bodies[at], self.proof(at)),
            outcome=ProvenLeaf(after, self.bodies[after], self.proof(after)),
            documents={sha256_hex(document): document for document in documents},
            bundles=(ReceiptBundle("vsa", bundle),),
        )
        return Release(trust=self.trust(), bundle=bundle, receipt=build_receipt(receipt(kept)))

    def _vsa(self, subjects: tuple[Subject, ...]) -> dict[str, Any]:
        return {
            "subjects": subjects,
            "verifier": self.verifier,
            "resource_uri": f"{self.verifier}/demo/release",
            "policy_uri": f"{self.verifier}/policies/demo",
            "policy_digest": POLICY_DIGEST,
            "time": NOW,
            "inputs": ("33" * 32,),
            "levels": ("SLSA_BUILD_LEVEL_2", "AUTHORITY_BUILD_MINIMUM"),
            "request_id": REQUEST,
            "dev": self.dev,
            "version": "0.1.0",
        }


@dataclass(frozen=True, slots=True)
class Release:
    """What a deploy system holds."""

    trust: bytes
    bundle: bytes
    receipt: bytes


def judgement(outcome: RuleOutcome = RuleOutcome.PASS) -> Judgement:
    finding = Finding(
        rule="BLD-1",
        type="build.provenance",
        control="build",
        level="minimum",
        outcome=outcome,
        title="built by a trusted builder",
        required="provenance by a trusted builder",
        found="provenance by demo-builder",
        evidence=("33" * 32,),
        bound="subject",
        remedy="",
        subjects=(0,),
    )
    return Judgement(verdict=Verdict.ALLOW, findings=(finding,))


def halt_leaf(minutes: int = 0) -> HaltLeaf:
    return HaltLeaf(time=format_time(NOW + timedelta(minutes=minutes)), reason="drill", principal="robot:ci")


def changed(**members: Any) -> Edit:
    """An edit that replaces members of a leaf, a finding or a frozen dataclass."""

    def edit(value: Any) -> Any:
        if isinstance(value, msgspec.Struct):
            return msgspec.structs.replace(value, **members)
        if isinstance(value, Finding):
            return value._replace(**members)
        return replace(value, **members)

    return edit


def edited(edit: Callable[[dict[str, Any]], None]) -> Edit:
    """An edit of a statement before it is signed."""

    def apply(statement: bytes) -> bytes:
        value = msgspec.json.decode(statement)
        edit(value)
        return canonical(value)

    return apply


def predicate(**members: Any) -> Edit:
    """An edit of a statement's predicate; None removes a member."""

    def edit(value: dict[str, Any]) -> None:
        for name, member in members.items():
            if member is None:
                del value["predicate"][name]
            else:
                value["predicate"][name] = member

    return edited(edit)


def other_digest(text: str = "another artifact") -> str:
    return hashlib.sha256(text.encode()).hexdigest()
