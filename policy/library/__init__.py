# SPDX-License-Identifier: Apache-2.0
"""Ready policies: minimum, better and strong, as documents that a team makes its own.

Each template states in its head what the team must keep true. The result is read by the judge before it is returned.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Final, Literal

from policy.document import parse_policy
from policy.schema import NAME, PolicyError
from policy.trust import is_pem

Level = Literal["minimum", "better", "strong"]

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
) -> bytes:
    """A policy document (YAML) of the given level; keys are PEM. Raises PolicyError for values that make none."""
    template = Template((files(__package__) / f"{level}.yaml").read_text("utf-8"))
    rendered = template.substitute(
        name=_name(name),
        owner=_quoted(owner),
        builder_id=_quoted(builder_id),
        builder_key=_block(builder_key),
        scanner_key=_block(scanner_key),
        source_key=_block(source_key),
        source_verifier=_quoted(source_verifier),
        repository=_quoted(repository),
        key=_name(key),
        environment=_name(environment),
        build_types=_quoted(list(build_types)),
        parameters=_quoted(list(parameters)),
    ).encode()
    parse_policy(rendered)
    return rendered


def _quoted(value: str | list[str]) -> str:
    """JSON is the one spelling in which no value can end the text that it stands in."""
    return json.dumps(value)


def _name(value: str) -> str:
    if NAME.fullmatch(value) is None:
        raise PolicyError(f"{value[:64]!r} is not a name", remedy="use letters, digits, '.', '_' and '-', at most 64")
    return _quoted(value)


def _block(pem: str) -> str:
    if not is_pem(pem):
        raise PolicyError(
            "a key is not a PEM public key",
            remedy="pass the BEGIN PUBLIC KEY block that `openssl pkey -pubout` prints",
        )
    return "\n".join(f"      {line}" for line in pem.strip().splitlines())
