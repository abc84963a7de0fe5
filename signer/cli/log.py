# SPDX-License-Identifier: Apache-2.0
"""`signer log`: the ledger in the hands of people who do not have to believe it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import click

from signer.cli.lazy import LazyGroup

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "verify": ("signer.cli.log_verify:verify", "Prove every leaf and every earlier checkpoint, or a range."),
        "checkpoint": ("signer.cli.log_show:checkpoint", "Fetch the newest checkpoint."),
        "entry": ("signer.cli.log_show:entry", "Fetch the bytes of one leaf."),
        "proof": ("signer.cli.log_proof:proof", "Write a proof of inclusion, or of consistency."),
        "check": ("signer.cli.log_proof:check", "Check a proof file offline."),
        "monitor": ("signer.cli.log_follow:monitor", "Watch that the ledger only grows, and tell what is new in it."),
        "export": ("signer.cli.log_follow:export", "Write proven leaves as JSON Lines, and follow."),
    }
)


@click.group(cls=LazyGroup, table=COMMANDS)
def log() -> None:
    """Verify, watch and export the ledger."""
