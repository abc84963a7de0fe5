# SPDX-License-Identifier: Apache-2.0
"""gittuf's record of pull request approvals: who stands behind one state of a repository, named by its git tree.

{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"gitTree":"2f70…"}}],
 "predicateType":"https://gittuf.dev/github-pull-request-approval/v0.1",
 "predicate":{"targetRef":"refs/heads/main","fromRevisionID":"8caa…","targetTreeID":"2f70…",
              "approvers":["octocat+583231"],"dismissedApprovers":[]}}

It names neither a commit nor a repository, so it counts only beside a review record that says whose tree this is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from signer.errors import Malformed
from signer.formats.shape import read_shape, require_visible
from signer.formats.statement import Statement

PREDICATE_TYPE: Final = "https://gittuf.dev/github-pull-request-approval/v0.1"
MAX_APPROVERS = 1024

_NUMBERED = re.compile(r"[A-Za-z0-9-]{1,39}\+([0-9]{1,20})")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeApprovals:
    """Standing and withdrawn approvals of one tree; people as identifiers."""

    tree: str
    approved: tuple[str, ...]
    dismissed: tuple[str, ...]


class _Predicate(
    msgspec.Struct, rename={"tree": "targetTreeID", "target": "targetID", "dismissed": "dismissedApprovers"}
):
    approvers: list[str] | None = None
    dismissed: list[str] | None = None
    tree: str | None = None
    target: str | None = None


def read_tree_approvals(statement: Statement) -> TreeApprovals:
    """Read a verified statement; raises Malformed."""
    wire = read_shape(statement.predicate, _Predicate, what="gittuf approval")
    if len(statement.subjects) != 1 or statement.subjects[0].tree is None:
        raise Malformed("evidence-invalid", "a gittuf approval speaks of one git tree")
    tree = statement.subjects[0].tree
    if (wire.tree or wire.target) != tree:
        raise Malformed("evidence-invalid", "the target of the gittuf approval is not the tree that it speaks of")
    return TreeApprovals(tree=tree, approved=_people(wire.approvers), dismissed=_people(wire.dismissed))


def _people(names: list[str] | None) -> tuple[str, ...]:
    if names is not None and len(names) > MAX_APPROVERS:
        raise Malformed("too-large", f"a gittuf approval names at most {MAX_APPROVERS} people")
    return tuple(sorted({_identifier(name) for name in names or ()}))


def _identifier(name: str) -> str:
    """`octocat+583231` by its number; a name alone can be registered again, and stays a name that nobody maps."""
    found = _NUMBERED.fullmatch(require_visible(name, what="approver of the gittuf approval"))
    return f"name:{name}" if found is None else f"login:https://github.com#{found[1]}"
