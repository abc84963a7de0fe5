# SPDX-License-Identifier: Apache-2.0
"""`signer policy`: from a first draft to a document in force. All but activate, list and show work offline."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import click

from signer.cli.lazy import LazyGroup

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "init": ("signer.cli.policy_init:init", "Write a working policy of one level, with its tests beside it."),
        "lint": ("signer.cli.policy_lint:lint", "Find mistakes in a policy that the schema lets pass."),
        "explain": ("signer.cli.policy_explain:explain", "Say in sentences what a policy demands."),
        "diff": ("signer.cli.policy_diff:diff", "Compare two policies: tighter, looser or unclear."),
        "test": ("signer.cli.policy_test:test", "Run the tests beside a policy, with coverage and mutants."),
        "activate": ("signer.cli.policy_force:activate", "Put a policy in force that the owners signed."),
        "list": ("signer.cli.policy_force:list_", "List the policies in force."),
        "show": ("signer.cli.policy_force:show", "Show a policy in force, byte for byte."),
        "shadow": ("signer.cli.policy_shadow:shadow", "Show what rules and versions in shadow would have done."),
        "replay": ("signer.cli.policy_replay:replay", "Judge recorded decisions again under a draft."),
    }
)


@click.group(cls=LazyGroup, table=COMMANDS)
def policy() -> None:
    """Write, test, compare, replay and activate policies."""
