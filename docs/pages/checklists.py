# SPDX-License-Identifier: Apache-2.0
"""Checklists that a team can tick, from the ready policies: one for each control, from minimum to strong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from policy.document import Policy, parse_policy
from policy.library import Level, Stages, render as render_policy
from policy.rule import CONTROLS, Rule, RuleType
from policy.rules import RULES

HEAD = """\
# Checklists

What the ready policies ask, control by control, as lists to tick before a team puts a policy in force. They are made
from the policies that `signer policy init` writes; what each rule counts is in the [catalogue](rules.md).
`signer check` is the same list for one release, with what is done already.

Before the first release, whatever the level:

- [ ] every line in the head of the policy file is true, and somebody owns it
- [ ] each signer of evidence has a key or an identity of its own, in nobody's hands
- [ ] the pipeline's robot has the grants `sign`, `check` and `evidence`, and no others
- [ ] people stand in the access document with every e-mail address, login and certificate name that they use
- [ ] the date on which the policy expires is in somebody's calendar
"""

_TITLES = {
    "source": "Source: for those who own the repository",
    "build": "Build: for those who own the build factory",
    "artifact": "Artifact: for those who own scans and inventories",
    "deployment": "Deployment: for those who release",
}


def render() -> str:
    """The whole page; the same for the same policies."""
    policies = {level: _policy(level) for level in get_args(Level)}
    parts = [HEAD]
    for control in CONTROLS:
        parts.append(f"## {_TITLES[control]}\n")
        parts += _control(control, policies)
    return "\n".join(parts)


def _control(control: str, policies: Mapping[str, Policy]) -> Iterator[str]:
    known: set[tuple[str, str]] = set()
    for level, policy in policies.items():
        rules = [rule for rule in policy.rules if rule.control == control]
        # A higher policy repeats what the lower ones ask: only what it adds is listed.
        added = [rule for rule in rules if (rule.type, rule.required) not in known]
        known |= {(rule.type, rule.required) for rule in rules}
        if added:
            yield f"### {control.capitalize()}, {level}\n"
            yield "\n".join(map(_line, added)) + "\n"
    asked = {code for code, _ in known}
    rest = [kind for kind in RULES.values() if kind.control == control and kind.code not in asked]
    if rest:
        yield f"### {control.capitalize()}, what no ready policy asks\n"
        yield "\n".join(map(_kind, rest)) + "\n"


def _line(rule: Rule) -> str:
    return (
        f"- [ ] **{rule.kind.title}** (`{rule.type}`): {rule.required}. To bring it, {rule.kind.supply}. "
        f"After a failure, {rule.kind.remedy}."
    )


def _kind(kind: RuleType[Any]) -> str:
    return f"- [ ] **{kind.title}** (`{kind.code}`): add `{kind.example}`. To bring it, {kind.supply}."


def _policy(level: Level) -> Policy:
    pems = {
        name: f"-----BEGIN PUBLIC KEY-----\n{(name.encode().hex() * 5)[:60]}\n-----END PUBLIC KEY-----\n"
        for name in ("builder", "scanner", "source")
    }
    return parse_policy(
        render_policy(
            level,
            name="checklist",
            builder_id="https://ci.example/builder",
            builder_key=pems["builder"],
            scanner_key=pems["scanner"],
            source_key=pems["source"],
            source_verifier="https://forge.example/source",
            repository="github.com/acme/shop",
            stages=Stages(approvers="release-managers"),
        )
    )
