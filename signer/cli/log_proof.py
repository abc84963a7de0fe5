# SPDX-License-Identifier: Apache-2.0
"""`signer log proof|check`: one leaf's place in the ledger, or that it only grew, as a file that anybody can verify."""

from __future__ import annotations

from pathlib import Path

import click

from signer.cli.log_source import source_of, source_options, trust_of, verified_head
from signer.cli.options import FILE, READABLE, connection_options, read_file, settings_of, write_file
from signer.cli.output import Result, colour, mode_option
from signer.errors import Refused
from signer.tlog.merkle import verify_consistency, verify_inclusion
from signer.tlog.note import MAX_NOTE
from signer.tlog.proof import encode_consistency, encode_proof, verify_consistency_proof, verify_proof
from signer.tlog.tiles import MAX_ENTRY
from signer.verify.checks import Checklist, render_passed, report
from signer.verify.proven import ProvenLog
from signer.verify.trust import ledger_keys

EPILOG = """\b
Examples:
  signer log proof 4711 --trust trust.json --out 4711.tlog-proof
  signer log proof --since kept.txt --trust trust.json --out grown.txt
"""

_BOTH = "name a leaf, or with --since an older checkpoint: one of the two"


@click.command("proof", epilog=EPILOG)
@click.argument("index", type=click.IntRange(min=0), required=False)
@click.option("--since", type=READABLE, help="A checkpoint seen before: prove that the ledger only grew since.")
@click.option("--checkpoint", "kept", type=READABLE, help="Prove the leaf under this checkpoint, not the newest.")
@source_options
@click.option("--out", type=FILE, help="Write the proof here instead of stdout.")
@connection_options
@mode_option
def proof(
    *,
    index: int | None,
    since: Path | None,
    kept: Path | None,
    trust: str | None,
    database: str | None,
    directory: Path | None,
    out: Path | None,
    **flags: str | None,
) -> Result:
    """Write the proof that leaf INDEX stands in the ledger (c2sp.org/tlog-proof), or that the ledger only grew.

    Reads hash tiles alone, so it asks for no grant. What is written has been verified.
    """
    if (index is None) == (since is None):
        raise click.UsageError(_BOTH)
    settings = settings_of(trust=trust, **flags)
    document = trust_of(settings, Checklist())
    source = source_of(settings, database=database, directory=directory)
    newest = source.checkpoint()
    log = ProvenLog(source, verified_head(newest, document))
    note = newest if kept is None else read_file(kept, limit=MAX_NOTE)
    head = verified_head(note, document)
    if head.size > log.head.size:
        raise Refused("log-rollback", f"the ledger has {log.head.size} leaves, and the checkpoint {head.size}")
    if index is not None:
        if index >= head.size:
            raise Refused("not-found", f"the checkpoint has {head.size} leaves", remedy="the first leaf is 0")
        hashes = log.inclusion(index, size=head.size)
        with Checklist().check("leaf stands in the ledger", code="proof-invalid"):
            verify_inclusion(log.hash(index), index, head.size, hashes, head.root)
        text = encode_proof(index, hashes, note.decode())
        members: dict[str, object] = {"index": index, "size": head.size}
    else:
        assert since is not None
        old = verified_head(read_file(since, limit=MAX_NOTE), document)
        if old.size > head.size:
            raise Refused("log-rollback", f"the ledger has {head.size} leaves, and the older checkpoint {old.size}")
        hashes = log.consistency(old.size, size=head.size)
        if old.size:
            with Checklist().check("ledger only grew", code="log-forked"):
                verify_consistency(old.size, head.size, hashes, old.root, head.root)
        text = encode_consistency(old.size, hashes, note.decode())
        members = {"old": old.size, "size": head.size}
    if out is not None:
        write_file(out, text.encode())
    return Result(
        name="proven", members={**members, "hashes": len(hashes), "proof": text}, raw=None if out else text.encode()
    )


@click.command("check")
@click.argument("file", type=READABLE)
@click.option("--leaf", type=READABLE, help="The bytes of the leaf (signer log entry): check that it stands there.")
@click.option("--since", type=READABLE, help="The older checkpoint: check that the ledger only grew.")
@click.option("--trust", help="The trust file of the authority.")
@mode_option
def check(*, file: Path, leaf: Path | None, since: Path | None, trust: str | None) -> Result:
    """Check a proof that `signer log proof` or another tool wrote. Works offline."""
    if (leaf is None) == (since is None):
        raise click.UsageError("name the leaf's bytes with --leaf, or with --since the older checkpoint")
    checks = Checklist()
    document = trust_of(settings_of(trust=trust), checks)
    text = read_file(file, limit=MAX_NOTE).decode("utf-8", "replace")
    keys = ledger_keys(document)
    members: dict[str, object]
    if leaf is not None:
        with checks.check("leaf stands in the ledger", code="proof-invalid") as one:
            found, head = verify_proof(text, leaf=read_file(leaf, limit=MAX_ENTRY), origin=document.origin, keys=keys)
            one.found = f"leaf {found.index} of {head.size}"
        members = {"index": found.index, "size": head.size}
    else:
        assert since is not None
        with checks.check("ledger only grew", code="log-forked") as one:
            old, head = verify_consistency_proof(
                text, old=read_file(since, limit=MAX_NOTE), origin=document.origin, keys=keys
            )
            one.found = f"from {old.size} to {head.size} leaves"
        members = {"old": old.size, "size": head.size}
    return Result(
        name="verified",
        members={"origin": document.origin, **members, "checks": report(checks.passed)},
        story=f"{colour('VERIFIED', 'green')}  {file}\n{render_passed(checks.passed, paint=colour)}",
    )
