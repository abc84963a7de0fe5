# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from signer.identity.access import parse_access
from signer.identity.access_lint import lint_access

HEAD = """\
schema: signing-access/v1
metadata: {name: access, version: 1}
people:
  - {id: alice, sans: ["spiffe://x.invalid/person/alice"]}
  - {id: bob, sans: ["spiffe://x.invalid/person/bob"]}
robots:
  - {id: ci, sans: ["spiffe://x.invalid/robot/ci"]}
groups:
  - {id: approvers, kind: release, members: [alice, bob]}
grants:
  - {to: "person:alice", actions: [halt, policy], policies: ["*"], environments: ["*"], repositories: ["*"]}
"""
CI = '  - {to: "robot:ci", actions: [%s], policies: [demo], environments: ["*"], repositories: ["*"]}\n'

CASES = {
    "a good document": (CI % "sign", []),
    "a robot without a grant": ("", ["robot:ci: authenticates, and no grant names it"]),
    "signing everywhere": (
        CI.replace("[demo]", '["*"]') % "sign",
        ["robot:ci: may ask for signatures under every policy, for every environment and repository"],
    ),
    "signing and approving": (CI % "sign, approve", ["robot:ci: may both ask for signatures and approve"]),
    "approvers without keys": (
        CI % "sign" + CI.replace("robot:ci", "group:approvers") % "approve",
        ["group:approvers: approves, and 0 of its members have an approval key"],
    ),
}


@pytest.mark.parametrize(("grants", "expected"), CASES.values(), ids=CASES)
def test_remarks_on(grants: str, expected: list[str]) -> None:
    remarks = lint_access(parse_access((HEAD + grants).encode()))
    assert [f"{remark.path}: {remark.what}" for remark in remarks] == expected
    assert all(remark.remedy for remark in remarks)


def test_remarks_when_nobody_can_halt_or_bring_documents() -> None:
    text = HEAD.replace("halt, policy", "read") + CI % "sign"
    assert [remark.path for remark in lint_access(parse_access(text.encode()))] == ["grants", "grants"]
