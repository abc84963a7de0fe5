# SPDX-License-Identifier: Apache-2.0
"""Ready policies: minimum, better and strong, as documents that a team makes its own.

Each template states in its head what the team must keep true. The result is read by the judge before it is returned.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from policy.document import parse_policy
from policy.library.stages import (
    HEAD,
    Stages,
    environments,
    rule_ids,
    stage_fixtures,
    stage_rules,
    stage_trials,
)
from policy.library.templates import Level, as_name, quoted, template_of
from policy.schema import PolicyError
from policy.trust import is_pem
from policy.wording import moment

__all__ = ["BUILD_TYPES", "PARAMETERS", "Level", "Stages", "render", "render_tests"]

BUILD_TYPES: Final = (
    "https://actions.github.io/buildtypes/workflow/v1",
    "https://tekton.dev/chains/v2/slsa",
    "https://tekton.dev/chains/v2/slsa-tekton",
)
"""What the common CI systems call their builds (SLSA provenance, buildType)."""
PARAMETERS: Final = ("workflow.path", "workflow.ref", "workflow.repository")
"""External parameters of a GitHub workflow build that takes no input."""


def render(
    level: Level,
    *,
    name: str,
    builder_id: str,
    builder_key: str,
    scanner_key: str,
    source_key: str,
    source_verifier: str,
    repository: str,
    key: str = "release",
    environment: str = "release",
    owner: str = "security",
    build_types: Sequence[str] = BUILD_TYPES,
    parameters: Sequence[str] = PARAMETERS,
    expires: datetime | None = None,
    version: int = 1,
    stages: Stages | None = None,
) -> bytes:
    """A policy document (YAML) of the given level; keys are PEM. Raises PolicyError for values that make none.

    `stages` adds the environments staging and production after `environment`.
    """
    gates = rule_ids(level)
    rendered = (
        template_of(f"{level}.yaml")
        .substitute(
            name=as_name(name),
            version=version,
            owner=quoted(owner),
            expires="" if expires is None else f", expires: {moment(expires)}",
            builder_id=quoted(builder_id),
            builder_key=_block(builder_key),
            scanner_key=_block(scanner_key),
            source_key=_block(source_key),
            source_verifier=quoted(source_verifier),
            repository=quoted(repository),
            key=as_name(key),
            build_types=quoted(list(build_types)),
            parameters=quoted(list(parameters)),
            stage_head="" if stages is None else HEAD,
            stage_rules="" if stages is None else stage_rules(level, stages, release=environment),
            environments=environments(stages, release=environment, key=key, gates=gates),
        )
        .encode()
    )
    parse_policy(rendered)
    return rendered


def render_tests(
    level: Level,
    *,
    repository: str,
    environment: str = "release",
    build_types: Sequence[str] = BUILD_TYPES,
    parameters: Sequence[str] = PARAMETERS,
    stages: Stages | None = None,
) -> bytes:
    """The tests (YAML) that go with what `render` made of the same arguments."""
    concrete = repository.replace("*", "shop")
    return (
        template_of(f"{level}.test.yaml")
        .substitute(
            environment=as_name(environment),
            stage_fixtures="" if stages is None else stage_fixtures(stages, release=environment),
            stage_trials="" if stages is None else stage_trials(level, stages, release=environment),
            build_type=quoted(build_types[0]),
            repository=quoted(concrete),
            another_repository=quoted(_another(repository)),
            parameters=quoted(list(parameters)),
            build_type_trials="\n".join(map(_build_type_trial, build_types[1:])),
            parameter_trials="\n".join(_parameter_trials(level, parameters)),
        )
        .encode()
    )


def _another(repository: str) -> str:
    """A repository that the pattern does not match, and its next wider pattern does where it can."""
    head, _, last = repository.replace("*", "shop").rpartition("/")
    return "elsewhere.invalid/stranger/fork" if "*" in repository.rpartition("/")[2] else f"{head}/another-{last}"


def _build_type_trial(build_type: str) -> str:
    return f"""\
  - name: {json.dumps(f"a build of type {build_type}")}
    given: {{fixture: good, change: {{provenance: {{build_type: {quoted(build_type)}}}}}}}
    expect: allow"""


def _parameter_trials(level: Level, parameters: Sequence[str]) -> Iterator[str]:
    """A trial for each group of dotted names: a parameter beside the listed ones could change what was built."""
    failing = "{BLD-1: fail}" if level == "minimum" else "{BLD-1: fail, BLD-4: fail}"
    groups = dict.fromkeys(name.rpartition(".")[0] for name in parameters if not name.endswith(".*"))
    for group in dict.fromkeys(("inputs", *groups)):
        foreign = f"{group}.unlisted" if group else "unlisted"
        if f"{group}.*" not in parameters:
            yield f"""\
  - name: {json.dumps(f"a build that takes {foreign}")}
    given: {{fixture: good, change: {{provenance: {{parameters: {quoted([*parameters, foreign])}}}}}}}
    expect: deny
    rules: {failing}
    reasonContains: external parameters outside the list"""


def _block(pem: str) -> str:
    if not is_pem(pem):
        raise PolicyError(
            "a key is not a PEM public key",
            remedy="pass the BEGIN PUBLIC KEY block that `openssl pkey -pubout` prints",
        )
    return "\n".join(f"      {line}" for line in pem.strip().splitlines())
