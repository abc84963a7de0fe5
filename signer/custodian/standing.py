# SPDX-License-Identifier: Apache-2.0
"""What is in force: policies, access, trust, key pins, owners and the halt; read from the ledger, parsed once.

A snapshot is replaced as a whole after every administrative leaf and after every failed append, so nothing is
judged on what the ledger no longer says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy.document import Policy, parse_policy
from policy.schema import PolicyError
from signer.custodian.owners import Owners
from signer.custodian.protocols import Reader
from signer.errors import Malformed, Misconfigured, Unavailable
from signer.formats.spki import load_pem, spki_der
from signer.formats.strict_base64 import decode_base64
from signer.formats.trust import TrustDocument, parse_trust_file
from signer.formats.waiver import WaiverStatement, parse_waiver
from signer.identity.access import Access, parse_access
from signer.keys.keyring import Pin
from signer.ledger.key_life import KeyLife, active_key, key_lives, succession
from signer.ledger.leaves import Genesis, decode_leaf
from signer.ledger.rows import ActiveDocument, HaltRow, KeyRow, RevocationRow, WaiverRow
from signer.tlog.merkle import leaf_hash


@dataclass(frozen=True, slots=True)
class StandingWaiver:
    """A recorded waiver that nobody has ended; it may have expired or be used up."""

    row: WaiverRow
    statement: WaiverStatement


@dataclass(frozen=True, slots=True)
class Shadow:
    """A newer version of a policy in force, judged beside it since the activation at `leaf`."""

    policy: Policy
    leaf: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One consistent view of what is in force."""

    genesis: Genesis
    genesis_hash: str
    """Hexadecimal leaf hash of leaf 0."""
    policies: Mapping[str, Policy]
    shadows: Mapping[str, Shadow]
    """By the policy's name."""
    access: Access | None
    personal_keys: Mapping[str, tuple[str, ...]]
    """Name of a policy → names of keys in its trust with which, by the access document, a person approves; sorted."""
    trust: TrustDocument | None
    lives: Mapping[str, KeyLife]
    """Each recorded key by its name, and how its life stands."""
    pins: Mapping[str, Pin]
    """The recorded public key of each key, by the key's name."""
    halt: HaltRow | None
    waivers: tuple[StandingWaiver, ...] = ()
    """In the order in which they were recorded."""
    revoked: tuple[RevocationRow, ...] = ()
    """Releases that were taken back, in the order of their leaves."""

    def key_name(self, role: str) -> str:
        """The name of the key that signs for `role`; raises Unavailable when none does now."""
        life = active_key(self.lives, role)
        if life is not None:
            return life.name
        made = succession(self.lives, role)
        if not made:
            raise Unavailable(
                "key-not-recorded",
                f"the ledger holds no key event for {role[:64]}",
                remedy="run `signer keys create` on the custodian's machine",
            )
        raise Unavailable(
            "key-not-active",
            f"no key signs for {role[:64]}: {made[-1].name} is {made[-1].status}",
            remedy="make its successor sign: signer keys create, signer trust publish, signer keys rotate",
        )

    @property
    def roles(self) -> frozenset[str]:
        """The roles of keys that policies in force name."""
        environments = (each for policy in self.policies.values() for each in policy.environments.values())
        return frozenset(output.key for environment in environments for output in environment.outputs)

    @property
    def compromised(self) -> frozenset[str]:
        """Key ids of the compromised keys."""
        return frozenset(life.created.kid for life in self.lives.values() if life.status == "compromised")

    @property
    def owners(self) -> Owners:
        """Those of the newest trust document; before the first one, those of the genesis leaf."""
        if self.trust is not None:
            return Owners(self.trust.owners, self.trust.threshold)
        keys = tuple(decode_base64(text, what="owner key of the genesis leaf") for text in self.genesis.owners)
        return Owners(keys, self.genesis.threshold)


def load_standing(reader: Reader, *, previous: Standing | None) -> Standing:
    """Read what is in force; raises Unavailable, or Misconfigured when the ledger holds what cannot be read.

    Documents that are still in force under the same digest are not parsed again.
    """
    body = reader.leaf(0)
    genesis = decode_leaf(body)
    if not isinstance(genesis, Genesis):
        raise Misconfigured("ledger-damaged", "leaf 0 is not a genesis leaf")
    trust = reader.trust()
    lives = key_lives(reader.keys())
    access = reader.active_all("access")
    if len(access) > 1:
        raise Misconfigured("ledger-damaged", "two access documents are in force")
    policies = {document.name: _policy(document, previous) for document in reader.active_all("policy")}
    people = _access(access[0], previous) if access else None
    return Standing(
        genesis=genesis,
        genesis_hash=leaf_hash(body).hex(),
        policies=policies,
        shadows={
            document.name: Shadow(_policy(document, previous), document.leaf)
            for document in reader.active_all("shadow")
            # A version at least as new in force ends it.
            if document.name in policies and document.version > policies[document.name].version
        },
        access=people,
        personal_keys={name: _personal_keys(policy, people) for name, policy in policies.items()},
        trust=parse_trust_file(trust.file).trust if trust is not None else None,
        lives=lives,
        pins={name: _pin(life.created) for name, life in lives.items()},
        halt=reader.halted(),
        waivers=_waivers(reader, previous),
        revoked=reader.revocations(),
    )


def _waivers(reader: Reader, previous: Standing | None) -> tuple[StandingWaiver, ...]:
    known = {each.row.digest: each.statement for each in previous.waivers} if previous is not None else {}
    return tuple(
        StandingWaiver(row, known.get(row.digest) or parse_waiver(row.statement))
        for row in reader.waivers()
        if row.end is None
    )


def _pin(row: KeyRow) -> Pin:
    return Pin(name=row.name, kid=row.kid, purpose=row.purpose, algorithm=row.algorithm, spki=row.spki)


def _policy(document: ActiveDocument, previous: Standing | None) -> Policy:
    if previous is not None:
        for known in (*previous.policies.values(), *(shadow.policy for shadow in previous.shadows.values())):
            if known.digest == document.digest:
                return known
    try:
        return parse_policy(document.data)
    except PolicyError as fault:
        # It was parsed when it was activated: another version of this program wrote it, or the record is damaged.
        raise Misconfigured("policy-unreadable", f"policy {document.name} in force: {fault.detail}") from None


def _personal_keys(policy: Policy, access: Access | None) -> tuple[str, ...]:
    held = {spki_der(key) for keys in access.approval_keys.values() for key in keys} if access is not None else set()
    return tuple(sorted(name for name, pem in policy.trust.keys.items() if _der(pem) in held))


def _der(pem: str) -> bytes | None:
    try:
        return spki_der(load_pem(pem))
    except Malformed:
        # The policy may hold a key of a kind that is not known here: it verifies nothing, and nobody approves with it.
        return None


def _access(document: ActiveDocument, previous: Standing | None) -> Access:
    if previous is not None and previous.access is not None and previous.access.digest == document.digest:
        return previous.access
    return parse_access(document.data)
