# SPDX-License-Identifier: Apache-2.0
"""Our trusted root in the hands of Sigstore's own clients: it proves leaves, and changes no key's trust."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sigstore._internal.merkle import verify_merkle_inclusion
from sigstore._internal.rekor.checkpoint import verify_checkpoint
from sigstore._internal.trust import KeyringPurpose
from sigstore.errors import VerificationError
from sigstore.models import TransparencyLogEntry, TrustedRoot
from sigstore_models.rekor.v1 import TransparencyLogEntry as EntryModel
from sigstore_models.trustroot.v1 import TrustedRoot as RootModel

from signer.tlog.note import NoteSigner
from signer.tlog.proof import parse_proof
from signer.tlog.trusted_root import build_trusted_root
from tests.conformance.sigstore_js import SigstoreJs
from tests.unit.verify.authority import LEDGER_KEY, NOW, Authority, halt_leaf, trust_key

INDEX = 5


@dataclass(frozen=True)
class Log:
    """A ledger of a few leaves, its trusted root, and one leaf with its proof as Sigstore writes a log entry."""

    root: bytes
    entry: dict[str, Any]
    bundle: dict[str, Any]


@pytest.fixture
def log() -> Log:
    authority = Authority()
    bundle = json.loads(authority.release().bundle)
    while len(authority.bodies) < 11:
        authority.append(halt_leaf(len(authority.bodies)))
    trust = authority.trust_document()
    proof = parse_proof(authority.proof(INDEX))
    size = len(authority.bodies)
    note = proof.checkpoint
    entry = {
        "logIndex": str(INDEX),
        "logId": {"keyId": encoded(NoteSigner(trust.origin, LEDGER_KEY).verifier.key_id)},
        "kindVersion": {"kind": "leaf", "version": "1"},
        "integratedTime": "0",
        "inclusionProof": {
            "logIndex": str(INDEX),
            "rootHash": note.split("\n")[2],
            "treeSize": str(size),
            "hashes": [encoded(each) for each in proof.hashes],
            "checkpoint": {"envelope": note},
        },
        "canonicalizedBody": encoded(authority.bodies[INDEX]),
    }
    return Log(build_trusted_root(trust), entry, bundle)


def encoded(data: bytes) -> str:
    return b64encode(data).decode()


def verify_with_python(log: Log) -> str:
    root = TrustedRoot(RootModel.from_json(log.root))
    entry = TransparencyLogEntry(EntryModel.from_json(json.dumps(log.entry)))
    try:
        verify_merkle_inclusion(entry)
        verify_checkpoint(root.rekor_keyring(KeyringPurpose.VERIFY), entry)
    except VerificationError:
        return "refused"
    return "verified"


def test_both_clients_prove_a_leaf_under_the_root(log: Log, npm: SigstoreJs) -> None:
    assert npm.verify_under(log.root, {"entry": log.entry}) == "verified"
    assert verify_with_python(log) == "verified"


def other_key(log: Log) -> Log:
    root = json.loads(log.root)
    root["tlogs"][0]["publicKey"]["rawBytes"] = flipped(root["tlogs"][0]["publicKey"]["rawBytes"])
    return Log(json.dumps(root).encode(), log.entry, log.bundle)


def other_leaf(log: Log) -> Log:
    return Log(log.root, log.entry | {"canonicalizedBody": flipped(log.entry["canonicalizedBody"])}, log.bundle)


def other_head(log: Log) -> Log:
    proof = dict(log.entry["inclusionProof"])
    proof["checkpoint"] = {"envelope": proof["checkpoint"]["envelope"].replace("\n11\n", "\n12\n", 1)}
    return Log(log.root, log.entry | {"inclusionProof": proof}, log.bundle)


def flipped(text: str) -> str:
    data = bytearray(b64decode(text))
    data[-1] ^= 1
    return encoded(bytes(data))


@pytest.mark.parametrize("spoil", [other_key, other_leaf, other_head], ids=lambda spoil: spoil.__name__)
def test_both_clients_refuse_a_flipped_bit(log: Log, npm: SigstoreJs, spoil: Callable[[Log], Log]) -> None:
    spoilt = spoil(log)
    assert npm.verify_under(spoilt.root, {"entry": spoilt.entry}) != "verified"
    assert verify_with_python(spoilt) == "refused"


def public_key(**changes: Any) -> dict[str, Any]:
    """A key of the trust file as Sigstore's `PublicKey`: its window is the one that the owners signed."""
    key = trust_key(**changes)
    window = {"start": key.not_before.isoformat()}
    if key.not_after is not None:
        window["end"] = key.not_after.isoformat()
    return {"rawBytes": encoded(key.spki), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": window}


@pytest.mark.parametrize(
    "changes",
    [{}, {"status": "retired", "not_after": NOW + timedelta(days=1)}],
    ids=["of an active key", "of a retired key, which stays with its window"],
)
def test_npm_verifies_a_bundle_under_the_root_and_a_key_of_the_trust_file(
    log: Log, npm: SigstoreJs, changes: dict[str, Any]
) -> None:
    kid = trust_key().kid
    assert npm.verify_under(log.root, {"bundle": log.bundle, "keys": {kid: public_key(**changes)}}) == "verified"


def test_the_root_alone_trusts_no_signing_key(log: Log, npm: SigstoreJs) -> None:
    assert npm.verify_under(log.root, {"bundle": log.bundle}) == "PUBLIC_KEY_ERROR"
