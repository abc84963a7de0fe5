# SPDX-License-Identifier: Apache-2.0
"""The demo access document: who may do what at a development authority, and nothing more.

ci        signs, checks and brings evidence for the demo policy
approver  two people who may approve and waive; neither may sign
auditor   reads everything, changes nothing
deployer  a robot that reads decisions and records deployments; it may not sign
owner     two people who stop everything; both must agree to start again
team      three people who write, review and administer the demo repository; evidence names them, nothing is granted
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from signer.dev.directory import OWNERS, PEOPLE, ROBOTS

TEAM = ("developer", "reviewer", "maintainer")
APPROVERS = ("approver-1", "approver-2")


def san_of(identity: str) -> str:
    """The URI SAN in the identity's certificate."""
    kind = "robot" if identity in ROBOTS else "person"
    return f"spiffe://dev.invalid/{kind}/{identity}"


def render_access(
    *, policy: str, environments: Sequence[str], repositories: Sequence[str], approval_keys: Mapping[str, str]
) -> bytes:
    """The document as YAML; `approval_keys` are PEM public keys by identity."""
    scope: dict[str, Any] = {
        "policies": [policy],
        "environments": list(environments),
        "repositories": list(repositories),
    }
    everything: dict[str, Any] = {"policies": ["*"], "environments": ["*"], "repositories": ["*"]}
    document: dict[str, Any] = {
        "schema": "signing-access/v1",
        "metadata": {"name": "access", "version": 1},
        "people": [
            {
                "id": name,
                "sans": [san_of(name)],
                "emails": [f"{name}@dev.invalid"],
                "logins": [{"issuer": "https://github.com", "id": 1000 + number}],
                "approvalKeys": [approval_keys[name]],
            }
            for number, name in enumerate(PEOPLE)
        ]
        + [
            {"id": name, "emails": [f"{name}@dev.invalid"], "logins": [{"issuer": "https://github.com", "id": number}]}
            for number, name in enumerate(TEAM, start=2000)
        ],
        "robots": [{"id": name, "sans": [san_of(name)]} for name in ROBOTS],
        "groups": [
            {"id": "approvers", "kind": "release", "members": list(APPROVERS)},
            {"id": "owners", "kind": "security", "members": list(OWNERS)},
        ],
        "grants": [
            {"to": "robot:ci", "actions": ["sign", "check", "evidence", "read"], **scope},
            {"to": "robot:deployer", "actions": ["read", "deploy"], **scope},
            {"to": "group:approvers", "actions": ["read", "approve", "waive"], **scope},
            {"to": "group:owners", "actions": ["read", "revoke", "halt", "policy"], **everything},
            {"to": "person:auditor", "actions": ["read", "audit"], **everything},
        ],
        "quotas": [{"to": "robot:ci", "requestsPerMinute": 600000, "evidenceBytes": 1 << 34}],
    }
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=False, width=120).encode()


class _Plain(yaml.SafeDumper):
    """Writes no anchors or aliases: the strict reader refuses them."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - yaml's signature
        return True


def _literal(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Plain.add_representer(str, _literal)
