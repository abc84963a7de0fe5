# SPDX-License-Identifier: Apache-2.0
"""What people said of a digest, for people: each approval with its leaf, what it was said about, and what became of it.

The statements themselves stand beside it, one on a line, as they were signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from signer.formats.approval import parse_approval
from signer.identity.access import parse_access
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.leaves import Decision
from signer.pack.text import inert
from signer.releases.contents import Contents

SECURITY = "security"
"""The kind of the groups whose approvals are a sign-off of the security team."""


def approval_lines(contents: Contents) -> bytes:
    """The exact envelopes, of revocations too, one on a line; the bare statement where nothing signed it."""
    digests = [leaf.envelope or leaf.digest for _, leaf in contents.of(ApprovalLeaf)]
    digests += [leaf.envelope for _, leaf in contents.of(ApprovalRevocationLeaf) if leaf.envelope]
    return b"".join(contents.read(digest) + b"\n" for digest in digests)


def render_approvals(contents: Contents, *, title: str, when: Callable[[ApprovalLeaf], bool]) -> bytes:
    """The page of the approvals for which `when` holds; empty when there is none."""
    sections = [line for index, leaf in contents.of(ApprovalLeaf) if when(leaf) for line in _section(contents, index)]
    return "\n".join([f"# {title}", "", *sections]).encode() if sections else b""


def of_security(contents: Contents, leaf: ApprovalLeaf) -> bool:
    """Whether one of its groups was of the security team, as the access document of the hold said."""
    hold = contents.leaves[leaf.decision].leaf
    if not isinstance(hold, Decision):
        return False
    access = parse_access(contents.read(hold.access))
    return any(name in access.groups and access.groups[name].kind == SECURITY for name in leaf.groups)


def _section(contents: Contents, index: int) -> Iterator[str]:
    leaf = contents.leaves[index].leaf
    assert isinstance(leaf, ApprovalLeaf)
    said = parse_approval(contents.read(leaf.digest))
    form = f"signed by the key {leaf.kid}" if leaf.kid else "recorded by a certificate, not signed"
    yield f"## Leaf {index}: {leaf.verb} by {inert(said.approver)}, for {inert(leaf.environment)}"
    yield ""
    yield f"- digest: `sha256:{leaf.sha256}`"
    yield f"- hold: request `{leaf.hold}`, leaf {leaf.decision}"
    yield f"- policy: {inert(leaf.policy)}, `sha256:{leaf.policy_digest}`"
    yield f"- cited evidence: `{leaf.cited}`; answers: `{leaf.answers}`"
    yield f"- groups: {inert(', '.join(leaf.groups) or 'none')}; {form}"
    yield f"- said {leaf.at}, recorded {leaf.time}; statement `sha256:{leaf.digest}`"
    if said.reason:
        yield f"- reason: {inert(said.reason)}"
    for name, answer in said.answered.items():
        why = f": {inert(said.reasons[name])}" if name in said.reasons else ""
        yield f"- {inert(name)}: {answer}{why}"
    for at, taken in contents.of(ApprovalRevocationLeaf):
        if taken.approval == leaf.digest:
            yield f"- taken back at leaf {at}: {inert(taken.reason)}"
    for at, decision in contents.decisions():
        if leaf.digest in decision.approvals:
            yield f"- the release at leaf {at} rests on it"
    yield ""
