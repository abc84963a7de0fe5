# SPDX-License-Identifier: Apache-2.0
"""The stages after the release, for a ready policy: the same digest goes to staging, and from there to production.

release     what the level demands of source, build and artifact
staging     the same, and that this digest was signed for release
production  the same, time in staging, and people who approve; higher levels ask for more
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from policy.library.templates import Level, as_name, quoted, template_of
from policy.schema import PolicyError

STAGING: Final = "staging"
PRODUCTION: Final = "production"
HEAD: Final = """\
#   groups           people outside the change, in the access document, who answer for what reaches production
#   environments     the key of production: one that signs for nothing else
"""
"""What a team states when it takes the stages."""

_RULE: Final = re.compile(r"^  - (?:\{id: |id: )([A-Z]+-[0-9]+)", re.MULTILINE)
_BEFORE_STAGING: Final = "SOK-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What the stages need to know of the team."""

    approvers: str = "approvers"
    """The group of the access document whose members approve."""
    key: str = "production"
    """Name of the key that signs for production."""


def rule_ids(level: Level) -> tuple[str, ...]:
    """The rules of the level that gate the release, in the order of the document."""
    return tuple(_RULE.findall(template_of(f"{level}.yaml").template))


def environments(stages: Stages | None, *, release: str, key: str, gates: Sequence[str]) -> str:
    """The lines of the environments; the release alone requires every rule."""
    if stages is None:
        return f'  {as_name(release)}: {{require: ["*"], key: {as_name(key)}, formats: [vsa]}}'
    if release in (STAGING, PRODUCTION):
        raise PolicyError(
            f"{release} is one of the stages after the release", remedy=f"name the first stage otherwise than {release}"
        )
    return "\n".join(
        f"  {stage}: {{require: [{', '.join(required)}], key: {as_name(by)}, formats: [vsa]}}"
        for stage, required, by in (
            (as_name(release), gates, key),
            (STAGING, (*gates, _BEFORE_STAGING), key),
            (PRODUCTION, ('"*"',), stages.key),
        )
    )


def stage_rules(level: Level, stages: Stages, *, release: str) -> str:
    """The deployment rules of the level."""
    return template_of(f"stages/{level}.yaml").substitute(
        environment=as_name(release), approvers=as_name(stages.approvers)
    )


def stage_fixtures(stages: Stages, *, release: str) -> str:
    """The fixtures of the stages' trials."""
    return template_of("stages/fixtures.yaml").substitute(
        environment=as_name(release), approvers=as_name(stages.approvers)
    )


def stage_trials(level: Level, stages: Stages, *, release: str) -> str:
    """The trials of staging and production."""
    written = template_of(f"stages/{level}.test.yaml").substitute(
        environment=as_name(release), environment_name=release, approvers=as_name(stages.approvers)
    )
    later = _RULE.findall(template_of(f"stages/{level}.yaml").template)
    gates = rule_ids(level)
    return "".join([written, *_empty(STAGING, (*gates, _BEFORE_STAGING)), *_empty(PRODUCTION, (*gates, *later))])


def _empty(stage: str, required: Sequence[str]) -> Iterator[str]:
    """A trial that brings nothing: it notices each rule that the stage no longer requires."""
    unknown = ", ".join(f"{rule}: unknown" for rule in required)
    yield f"""\
  - name: {quoted(f"{stage} with nothing at all")}
    given: nothing
    environment: {stage}
    expect: deny
    rules: {{{unknown}}}
"""
