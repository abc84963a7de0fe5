# SPDX-License-Identifier: Apache-2.0
"""`signer log verify`: the ledger, proven from its leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from signer.cli.log_source import source_of, source_options, trust_of, verified_head
from signer.cli.options import READABLE, connection_options, read_file, settings_of
from signer.cli.output import Result, colour, mode_option, progress_bar
from signer.formats.receipt import MAX_RECEIPT, parse_receipt
from signer.tlog.note import MAX_NOTE
from signer.tlog.proof import parse_proof
from signer.verify.checks import Checklist, render_passed, report
from signer.verify.log import verify_log

EPILOG = """\b
Examples:
  signer log verify --trust trust.json
  signer log verify --trust trust.json --database ledger.db --checkpoint kept.txt
  signer log verify --trust trust.json --directory /srv/log --receipt app.receipt.json
  signer log verify --trust trust.json --from 70000 --to 70500
"""


@click.command("verify", epilog=EPILOG)
@source_options
@click.option("--checkpoint", "kept", type=READABLE, multiple=True, help="A checkpoint seen before.")
@click.option(
    "--receipt", "receipts", type=READABLE, multiple=True, help="A receipt whose checkpoints were seen before."
)
@click.option("--from", "start", type=click.IntRange(min=0), help="Prove a range: the first leaf.")
@click.option("--to", "stop", type=click.IntRange(min=1), help="Prove a range: the leaf after the last.")
@connection_options
@mode_option
def verify(
    *,
    trust: str | None,
    database: str | None,
    directory: Path | None,
    kept: Sequence[Path],
    receipts: Sequence[Path],
    start: int | None,
    stop: int | None,
    **flags: str | None,
) -> Result:
    """Hash every leaf again and prove the newest checkpoint and all earlier ones from them.

    Reads from the authority (which asks for an audit grant), a directory or a database. A development ledger is
    verified like any other. With --from or --to the leaves of that range alone are read and proven.
    """
    settings = settings_of(trust=trust, **flags)
    checks = Checklist()
    document = trust_of(settings, checks)
    earlier = [read_file(path, limit=MAX_NOTE) for path in kept]
    for path in receipts:
        receipt = parse_receipt(read_file(path, limit=MAX_RECEIPT))
        earlier += [parse_proof(leaf.proof).checkpoint.encode() for leaf in (receipt.decision, receipt.outcome)]
    source = source_of(settings, database=database, directory=directory)
    span = None
    if start is not None or stop is not None:
        span = (start or 0, verified_head(source.checkpoint(), document).size if stop is None else stop)
    with progress_bar("verifying", 100) as advance:
        shown = 0

        def progress(done: int, size: int) -> None:
            nonlocal shown
            advance(done * 100 // size - shown)
            shown = done * 100 // size

        verified = verify_log(
            source, trust=document, checks=checks, earlier=tuple(earlier), span=span, progress=progress
        )
    head = verified.checkpoint
    proven = f"{head.size} leaves" if span is None else f"leaves {span[0]} to {span[1] - 1} of {head.size}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(verified.leaves.items()))
    lines = [
        f"{colour('VERIFIED', 'green')}  {proven} of {document.origin}",
        render_passed(checks.passed, paint=colour),
        f" leaves   {kinds}",
    ]
    if verified.open_decisions:
        lines.append(f" open     {len(verified.open_decisions)} allowed decision(s) without outcome yet")
    return Result(
        name="verified",
        members={
            "origin": document.origin,
            "size": head.size,
            "root": head.root.hex(),
            "leaves": dict(verified.leaves),
            "range": None if span is None else list(span),
            "open_decisions": list(verified.open_decisions),
            "dev": document.dev,
            "checks": report(checks.passed),
        },
        story="\n".join(lines),
    )
