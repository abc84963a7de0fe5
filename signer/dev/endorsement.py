# SPDX-License-Identifier: Apache-2.0
"""What the owners of a development authority do at once and unasked, where real owners would meet.

Both sign for changed documents, for each release key and for the trust document that lists it. The signatures are
real: the custodian verifies them as it would anybody's.
"""

from __future__ import annotations

import os
from typing import Literal, TypeAlias

from policy.document import Policy
from signer.custodian.commands import Activate, AddKey, UpdateTrust
from signer.dev.certificates import load_key
from signer.dev.directory import OWNERS, write_public
from signer.dev.installation import ORIGIN, THRESHOLD, Installation
from signer.domain.algorithm import parse_algorithm
from signer.domain.purpose import parse_purpose
from signer.formats.owner_act import OwnerAct, sign_owner_act
from signer.formats.trust import TrustDocument, TrustKey, build_trust_document, parse_trust_file, trust_act
from signer.identity.access import Access
from signer.ledger.leaves import Genesis, decode_leaf
from signer.ledger.reader import Reader
from signer.ledger.rows import KeyRow
from signer.tlog.merkle import leaf_hash
from signer.wiring import Founding, ask_admin, open_ledger_reader

Document: TypeAlias = Policy | Access


def founding(installation: Installation) -> Founding:
    """The beginning of the ledger: both owners, and their signatures for the first policy and access document."""
    return Founding(
        owners=installation.owners,
        threshold=THRESHOLD,
        dev=True,
        documents=(("policy", installation.policy_bytes), ("access", installation.access_bytes)),
        signatures=(
            *_sign(installation, _document_act(installation.policy)),
            *_sign(installation, _document_act(installation.access)),
        ),
        principal=_principal(),
    )


def endorse(installation: Installation) -> None:
    """Put changed documents in force, record missing keys, publish the trust document; the custodian runs.

    Raises what the custodian answers, for example Refused("version-not-newer") for a changed document whose version
    was not raised.
    """
    with open_ledger_reader(installation.settings) as reader:
        _activate(installation, reader, installation.policy, installation.policy_bytes)
        _activate(installation, reader, installation.access, installation.access_bytes)
        recorded = {row.name for row in reader.keys()}  # noqa: SIM118 - no mapping
        for key in installation.settings.keys:
            if key.name not in recorded:
                ask_admin(installation.settings, AddKey(principal=_principal(), name=key.name, generate=True))
        _publish_trust(installation, reader)
        trust = reader.trust()
    assert trust is not None
    # Written last: a start that failed before continues from what was in force.
    write_public(installation.directory.policy, installation.policy_bytes)
    write_public(installation.directory.access, installation.access_bytes)
    write_public(installation.directory.trust, trust.file)


def _activate(installation: Installation, reader: Reader, document: Document, data: bytes) -> None:
    kind = _kind(document)
    active = reader.active(kind, document.name)
    if active is not None and active.digest == document.digest:
        return
    signatures = _sign(installation, _document_act(document))
    ask_admin(installation.settings, Activate(principal=_principal(), document=kind, data=data, signatures=signatures))


def _publish_trust(installation: Installation, reader: Reader) -> None:
    row = reader.trust()
    current = None if row is None else parse_trust_file(row.file).trust
    keys = tuple(_trust_key(event) for event in reader.keys())  # noqa: SIM118 - no mapping
    listed = () if current is None else current.keys
    missing = tuple(key for key in keys if key.kid not in {held.kid for held in listed})
    if current is not None and not missing:
        return
    body = reader.leaf(0)
    genesis = decode_leaf(body)
    assert isinstance(genesis, Genesis)
    document = TrustDocument(
        version=1 if current is None else current.version + 1,
        origin=genesis.origin,
        genesis=leaf_hash(body).hex(),
        dev=genesis.dev,
        verifier=f"https://{genesis.origin}",
        ledger_keys=(genesis.ledger_key,),
        threshold=THRESHOLD,
        owners=installation.owners,
        keys=(*listed, *missing),
    )
    data = build_trust_document(document)
    signatures = _sign(installation, trust_act(data, document))
    ask_admin(installation.settings, UpdateTrust(principal=_principal(), data=data, signatures=signatures))


def _trust_key(event: KeyRow) -> TrustKey:
    return TrustKey(
        name=event.name,
        kid=event.kid,
        spki=event.spki,
        purpose=parse_purpose(event.purpose),
        algorithm=parse_algorithm(event.algorithm),
        status="active",
        not_before=event.time,
        not_after=None,
    )


def _document_act(document: Document) -> OwnerAct:
    return OwnerAct(_kind(document), document.version, ORIGIN, document.digest)


def _kind(document: Document) -> Literal["policy", "access"]:
    match document:
        case Policy():
            return "policy"
        case Access():
            return "access"


def _sign(installation: Installation, act: OwnerAct) -> tuple[bytes, ...]:
    """The envelopes of both owners over one act."""
    keys = (load_key(installation.directory.owner_key(name)) for name in OWNERS)
    return tuple(sign_owner_act(act, key) for key in keys)


def _principal() -> str:
    """Who stands in the leaves of these acts."""
    return f"operator:{os.getuid()}"
