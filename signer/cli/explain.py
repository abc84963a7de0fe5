# SPDX-License-Identifier: Apache-2.0
"""`signer explain`: from a request id to reasons."""

from __future__ import annotations

from typing import Any

import click

from signer.cli.denial import render_decision
from signer.cli.options import client_of, connection_options, settings_of
from signer.cli.output import Result, colour, mode_option

EPILOG = """\b
Examples:
  signer explain 5d41402abc4b2a76b9719d911017c592
  signer explain 5d41402abc4b2a76b9719d911017c592 --rule VUL-1
"""


@click.command(epilog=EPILOG)
@click.argument("request_id")
@click.option("--rule", help="Show one rule only.")
@connection_options
@mode_option
def explain(request_id: str, rule: str | None, **flags: str | None) -> Result:
    """Say why a request was allowed or denied: every rule with required, found, evidence and remedy."""
    document = client_of(settings_of(**flags)).decision(request_id)
    outcome: Any = document.get("outcome")
    text = render_decision(
        document, paint=colour, every=True, rule=rule, outcome=outcome if isinstance(outcome, dict) else None
    )
    return Result(name="explained", members={"decision": document}, answer=text)
