# SPDX-License-Identifier: Apache-2.0
"""Approvals in a pack: each statement is the one that its leaf names, about the same hold, by a registered key."""

from __future__ import annotations

from collections.abc import Sequence

from signer.errors import Malformed, Refused
from signer.formats.approval import ApprovalStatement, parse_approval, read_approval
from signer.formats.dsse import Envelope, verify_envelope
from signer.formats.spki import keyid, spki_der
from signer.identity.access import Access, parse_access
from signer.ledger.approval_leaves import ApprovalLeaf
from signer.ledger.leaves import Activation
from signer.releases.contents import Contents
from signer.verify.pack_facts import Renaming


def verify_approvals(contents: Contents, *, renaming: Renaming) -> int:
    """How many approvals hold; raises Malformed or Refused for the first that does not."""
    documents = [
        (index, parse_access(contents.read(leaf.digest)))
        for index, leaf in contents.of(Activation)
        if leaf.document == "access"
    ]
    count = 0
    for index, leaf in contents.of(ApprovalLeaf):
        envelope, statement = _statement(contents, leaf)
        said = (statement.digest, statement.verb, statement.hold, statement.subject.sha256, statement.environment)
        recorded = (leaf.digest, leaf.verb, leaf.hold, leaf.sha256, leaf.environment)
        rest = (statement.policy, statement.policy_digest, statement.cited, statement.answers)
        if (*said, *rest) != (*recorded, leaf.policy, leaf.policy_digest, leaf.cited, leaf.answers):
            raise Malformed("approval-mismatch", f"the approval at leaf {index} states something else than its leaf")
        if envelope is not None:
            known = [access for at, access in documents if at < index]
            _require_signed(envelope, statement, leaf, index, known)
        renaming.add((index, leaf.digest, "approver"), [f"person:{statement.approver}"], [leaf.person])
        count += 1
    return count


def _statement(contents: Contents, leaf: ApprovalLeaf) -> tuple[Envelope | None, ApprovalStatement]:
    if leaf.envelope:
        return read_approval(contents.read(leaf.envelope))
    return None, parse_approval(contents.read(leaf.digest))


def _require_signed(
    envelope: Envelope, statement: ApprovalStatement, leaf: ApprovalLeaf, index: int, known: Sequence[Access]
) -> None:
    """One of the access documents in force before registers the key, and it signed exactly this."""
    for access in reversed(known):
        keys = {keyid(spki_der(key)): key for key in access.approval_keys.get(statement.approver, ())}
        if leaf.kid in keys and verify_envelope(envelope, {leaf.kid: keys[leaf.kid]}):
            return
    raise Refused("approval-unsigned", f"no registered key of the approver signed the approval at leaf {index}")
