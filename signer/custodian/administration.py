# SPDX-License-Identifier: Apache-2.0
"""Acts that change what is in force: each becomes leaves, or is refused. Nothing here writes.

Policy, access and trust come into force, and a halt ends, only when the owners' threshold signed exactly that act.
Halting needs no owner: stopping is always allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from policy.document import parse_policy
from policy.schema import NAME, PolicyError
from signer.custodian.commands import Activate, EvidenceItem, Resume, SpooledItem, UpdateTrust
from signer.custodian.promotion import require_promotable
from signer.custodian.protocols import Reader
from signer.custodian.purposes import require_purposes
from signer.custodian.standing import Standing
from signer.errors import Malformed, Refused
from signer.formats import dsse, trust
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.owner_act import Action
from signer.formats.rfc3339 import parse_time
from signer.identity.access import parse_access
from signer.ledger import leaves
from signer.ledger.documents import StoredDocument
from signer.ledger.sequencer import Entry

MAX_REASON = 500
POLICY_TYPE = "application/vnd.signing-authority.policy+yaml"
ACCESS_TYPE = "application/vnd.signing-authority.access+yaml"

MAX_NAMES = 32
_SORTS: Mapping[str, Action] = {"policy": "policy", "shadow": "shadow", "access": "access"}


def activation(command: Activate, *, standing: Standing, reader: Reader, principal: str, time: str) -> Entry:
    """The leaf that puts a policy or access document in force, or a policy in shadow; raises Malformed or Refused."""
    name, version, media_type = _stated(command)
    active = reader.active_all(command.document)
    if command.document == "access" and any(document.name != name for document in active):
        raise Refused("access-renamed", f"the access document in force is named {active[0].name}")
    current = max((document.version for document in active if document.name == name), default=0)
    if version <= current:
        raise Refused(
            "version-not-newer",
            f"{command.document} {name} version {current} is in force; version {version} is not newer",
            remedy="raise metadata.version, sign again and activate that",
        )
    digest = sha256_hex(command.data)
    if command.document == "shadow":
        _require_something_to_shadow(name, version, standing)
    standing.owners.verify(
        command.signatures,
        action=_SORTS[command.document],
        number=version,
        origin=standing.genesis.origin,
        sha256=digest,
    )
    if command.document == "policy":
        draft = parse_policy(command.data)
        require_purposes(draft, standing=standing)
        require_promotable(
            draft,
            standing=standing,
            reader=reader,
            acknowledged=command.acknowledged,
            now=parse_time(time, what="time of the act"),
        )
    signatures = _envelopes(command.signatures)
    leaf = leaves.Activation(
        time=time,
        document=command.document,
        name=name,
        version=version,
        digest=digest,
        principal=principal,
        signatures=tuple(each.digest for each in signatures),
        acknowledged=_names(command.acknowledged),
    )
    return Entry(leaf, (StoredDocument(digest, media_type, command.data), *signatures))


def _require_something_to_shadow(name: str, version: int, standing: Standing) -> None:
    live = standing.policies.get(name)
    if live is None:
        raise Refused(
            "policy-missing",
            f"no policy {name} is in force, so there is nothing to judge it beside",
            remedy="activate it, with the rules that are to be watched under mode: shadow",
        )
    if version <= live.version:
        raise Refused(
            "version-not-newer",
            f"policy {name} version {live.version} is in force; version {version} is not newer",
            remedy="raise metadata.version, sign again and activate that",
        )


def _names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of rules as they stand in a leaf; raises Malformed."""
    if len(names) > MAX_NAMES or not all(NAME.fullmatch(name) for name in names):
        raise Malformed("malformed-frame", f"at most {MAX_NAMES} names of rules are acknowledged at once")
    return tuple(dict.fromkeys(names))


def refusal(command: Activate, fault: Malformed | Refused, *, principal: str, time: str) -> Entry:
    """The leaf that says that a document did not come into force, and why."""
    try:
        name, version, _ = _stated(command)
    except Malformed:
        name, version = "", 0
    leaf = leaves.Refusal(
        time=time,
        document=command.document if command.document in _SORTS else "",
        name=name,
        version=version,
        digest=sha256_hex(command.data),
        reason=fault.code,
        principal=principal,
    )
    return Entry(leaf)


def _stated(command: Activate) -> tuple[str, int, str]:
    """Name, version and media type of the document; raises Malformed when it is none of its sort."""
    match command.document:
        case "policy" | "shadow":
            try:
                policy = parse_policy(command.data)
            except PolicyError as fault:
                raise Malformed("policy-invalid", fault.detail, remedy=fault.remedy) from None
            return policy.name, policy.version, POLICY_TYPE
        case "access":
            access = parse_access(command.data)
            return access.name, access.version, ACCESS_TYPE
        case _:
            raise Malformed("malformed-frame", "a document is a policy, an access document or a policy in shadow")


def trust_update(command: UpdateTrust, *, standing: Standing, principal: str, time: str) -> Entry:
    """The leaf that publishes a newer trust document of this very ledger; raises Malformed or Refused."""
    document = trust.parse_trust_document(command.data)
    genesis = standing.genesis
    if (document.origin, document.genesis, document.dev) != (genesis.origin, standing.genesis_hash, genesis.dev):
        raise Refused("trust-foreign", "the trust document speaks of another ledger")
    if genesis.ledger_key not in document.ledger_keys:
        raise Refused("trust-foreign", "the trust document does not name the ledger key of the genesis leaf")
    if document.verifier != f"https://{genesis.origin}":
        raise Refused("trust-foreign", f"the verifier of this ledger is https://{genesis.origin}")
    current = standing.trust.version if standing.trust is not None else 0
    if document.version <= current:
        raise Refused("trust-rollback", f"version {document.version} is not newer than version {current} in force")
    recorded = {pin.kid: pin for pin in standing.pins.values()}
    for key in document.keys:
        pin = recorded.get(key.kid)
        if pin is None or (pin.name, pin.purpose, pin.algorithm) != (key.name, key.purpose, key.algorithm):
            raise Refused(
                "key-not-recorded",
                f"the trust document lists key {key.name[:64]} otherwise than the ledger recorded it",
                remedy="list the keys as `signer keys list` prints them",
            )
        if key.status == "active" and standing.lives[key.name].status in ("retired", "compromised"):
            raise Refused(
                "key-ended",
                f"the trust document lists key {key.name} as active, and it is {standing.lives[key.name].status}",
                remedy="write the document again from the record: signer trust draft",
            )
    digest = sha256_hex(command.data)
    standing.owners.verify(
        command.signatures, action="trust", number=document.version, origin=genesis.origin, sha256=digest
    )
    signatures = _envelopes(command.signatures)
    leaf = leaves.Trust(
        time=time,
        version=document.version,
        digest=digest,
        principal=principal,
        signatures=tuple(each.digest for each in signatures),
    )
    return Entry(leaf, (StoredDocument(digest, trust.MEDIA_TYPE, command.data), *signatures))


def require_reason(reason: str) -> None:
    """Raises Malformed for a reason that is no short text."""
    if not 1 <= len(reason) <= MAX_REASON or not reason.isprintable():
        raise Malformed("invalid-reason", f"a reason is 1 to {MAX_REASON} printable characters")


def halt(reason: str, *, principal: str, time: str) -> Entry:
    """The leaf that stops all signing; raises Malformed for a reason that is no short text."""
    require_reason(reason)
    return Entry(leaves.HaltLeaf(time=time, reason=reason, principal=principal))


def resume(command: Resume, *, standing: Standing, reader: Reader, principal: str, time: str) -> Entry:
    """The leaf that ends the halt in force, which the owners named by index and bytes; raises Refused."""
    if standing.halt is None or standing.halt.leaf != command.halt_index:
        current = "none" if standing.halt is None else str(standing.halt.leaf)
        raise Refused(
            "not-halted",
            f"the halt at leaf {command.halt_index} is not the one in force ({current})",
            remedy="sign for the newest halt leaf: `signer owner sign` with the index that `signer halt` printed",
        )
    standing.owners.verify(
        command.signatures,
        action="resume",
        number=command.halt_index,
        origin=standing.genesis.origin,
        sha256=sha256_hex(reader.leaf(command.halt_index)),
    )
    signatures = _envelopes(command.signatures)
    leaf = leaves.ResumeLeaf(
        time=time,
        halt=command.halt_index,
        principal=principal,
        signatures=tuple(each.digest for each in signatures),
    )
    return Entry(leaf, signatures)


def evidence(item: EvidenceItem | SpooledItem, *, principal: str, policy: str, time: str) -> Entry:
    """The leaf that keeps one piece of evidence, with the digests that find it again, and its bytes unless stored."""
    subjects = StoredDocument.of(canonical({"subjects": list(item.subjects)}))
    data = None if isinstance(item, SpooledItem) else item.data
    leaf = leaves.Evidence(
        time=time,
        digest=item.digest,
        media_type=item.media_type,
        predicate=item.kind,
        subjects=subjects.digest,
        size=item.size if isinstance(item, SpooledItem) else len(item.data),
        principal=principal,
        policy=policy,
    )
    if data is None:
        return Entry(leaf, (subjects,))
    return Entry(leaf, (StoredDocument(item.digest, item.media_type, data), subjects))


def _envelopes(signatures: Sequence[bytes]) -> tuple[StoredDocument, ...]:
    return tuple(StoredDocument.of(each, media_type=dsse.MEDIA_TYPE) for each in signatures)
