# SPDX-License-Identifier: Apache-2.0
"""A small authority whose owner has published a trust file, and whose custodian a revocation list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from signer.domain.algorithm import Algorithm
from signer.domain.purpose import Purpose
from signer.formats.canonical import sha256_hex
from signer.formats.owner_act import sign_owner_act
from signer.formats.revocations import RevocationList, RevokedKey, sign_revocations
from signer.formats.rfc3339 import format_time
from signer.formats.spki import keyid, spki_der
from signer.formats.trust import MEDIA_TYPE, KeyStatus, TrustDocument, TrustKey, build_trust_document, trust_act
from signer.ledger.documents import StoredDocument
from signer.ledger.gate import ledger_vkey
from signer.ledger.leaves import HaltLeaf, Trust
from signer.ledger.sequencer import Entry
from signer.tlog.merkle import leaf_hash
from tests.unit.web.world import NOW, ORIGIN, World


def publish_trust(
    world: World, *, version: int = 1, status: KeyStatus = "active", not_after: datetime | None = None
) -> TrustDocument:
    """Put a trust document in force that lists the key `release`."""
    spki = spki_der(world.keys.release.public_key())
    key = TrustKey(
        name="release",
        kid=keyid(spki),
        spki=spki,
        purpose=Purpose.STATEMENT,
        algorithm=Algorithm.ECDSA_P256,
        status=status,
        not_before=NOW - timedelta(days=1),
        not_after=not_after,
    )
    trust = TrustDocument(
        version=version,
        origin=ORIGIN,
        genesis=leaf_hash(world.application.reader.leaf(0)).hex(),
        dev=True,
        verifier=f"https://{ORIGIN}",
        ledger_keys=(ledger_vkey(ORIGIN, world.ledger_key),),
        threshold=1,
        owners=(spki,),
        keys=(key,),
    )
    data = build_trust_document(trust)
    act = StoredDocument.of(sign_owner_act(trust_act(data, trust), world.keys.release), media_type="application/json")
    leaf = Trust(
        time=format_time(NOW),
        version=version,
        digest=sha256_hex(data),
        principal="person:olga",
        signatures=(act.digest,),
    )
    world.sequencer.append([Entry(leaf, (StoredDocument(sha256_hex(data), MEDIA_TYPE, data), act))])
    return trust


def publish_revocations(
    world: World, *entries: RevokedKey, issued: datetime = NOW, size: int | None = None
) -> RevocationList:
    """Write a revocation list as the custodian does."""
    listed = RevocationList(
        origin=ORIGIN,
        genesis=leaf_hash(world.application.reader.leaf(0)).hex(),
        issued=issued,
        next_update=issued + timedelta(hours=24),
        size=world.application.reader.head().size if size is None else size,
        entries=entries,
    )
    world.application.revocations.write_bytes(sign_revocations(listed, world.ledger_key))
    return listed


def grow(world: World, size: int) -> None:
    """Append halts until the ledger has `size` leaves."""
    missing: Sequence[int] = range(world.application.reader.head().size, size)
    world.sequencer.append(
        [Entry(HaltLeaf(time=format_time(NOW), reason=f"drill {each}", principal="person:olga")) for each in missing]
    )
