# SPDX-License-Identifier: Apache-2.0
"""`signer waiver request`: a waiver as its requester signs it, filled in from a denial where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click

from policy.decision import Offender
from signer.cli.key_file import load_key
from signer.cli.options import (
    FILE,
    READABLE,
    client_of,
    connection_options,
    duration,
    read_file,
    require_writable,
    settings_of,
    write_file,
)
from signer.cli.output import Result, clean, mode_option
from signer.errors import Malformed, Misconfigured
from signer.formats.rfc3339 import format_time
from signer.formats.trust import MAX_TRUST
from signer.formats.waiver import WaiverStatement, sign_waiver
from signer.verify.checks import Checklist
from signer.verify.trust import verify_trust

EPILOG = """\b
Examples:
  signer waiver request --rule VUL-1 --decision 5d41402abc4b2a76b9719d911017c592 \\
    --reason 'not reachable from our code' --ticket SEC-4411 --requested-by dana \\
    --approved-by lee --expires-in 14d --max-uses 3 --key dana.pem --out waiver.json
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """What a waiver is about: from a recorded denial, or from options."""

    policy: str
    environment: str
    digests: tuple[str, ...]
    outcome: Literal["fail", "unknown"]
    offenders: tuple[Offender, ...]
    found: str | None


@click.command("request", epilog=EPILOG)
@click.option("--rule", "rules", multiple=True, required=True, help="Id of the rule; repeatable with --offender.")
@click.option("--decision", "request_id", help="Request id of the denial: fills in everything that is wrong.")
@click.option("--policy", help="Name of the policy.")
@click.option("--environment", help="The environment.")
@click.option("--subject", "subjects", multiple=True, metavar="sha256:HEX", help="A digest in scope.")
@click.option("--repository", "repositories", multiple=True, help="A repository in scope, github.com/acme/shop.")
@click.option("--offender", "offenders", multiple=True, metavar="ID[ in PACKAGE]", help="What is excused, by name.")
@click.option("--found", help="What is excused, as the finding words it, where it names no offenders.")
@click.option("--outcome", type=click.Choice(["fail", "unknown"]), help="How the rule ended; fail by default.")
@click.option("--reason", required=True, help="Why this may be excused, in one line.")
@click.option("--ticket", required=True, help="Where it is followed up.")
@click.option("--requested-by", required=True, help="Your person id in the access document.")
@click.option("--approved-by", required=True, help="Person id of whom you ask.")
@click.option("--expires-in", required=True, help="How long it counts, for example 14d.")
@click.option("--max-uses", type=click.IntRange(min=1), default=1, show_default=True, help="ALLOW decisions at most.")
@click.option("--renews", metavar="sha256:HEX", help="The waiver that this one goes on with.")
@click.option("--origin", help="Origin of the authority; read from the trust file.")
@click.option("--trust", help="The trust file, for the origin.")
@click.option("--key", type=READABLE, required=True, help="PEM file of your approval key (P-256 or Ed25519).")
@click.option("--passphrase-file", type=READABLE, help="File with the passphrase of the key.")
@click.option("--out", type=FILE, required=True, help="Write the waiver here.")
@connection_options
@mode_option
def request(
    *,
    rules: Sequence[str],
    request_id: str | None,
    repositories: Sequence[str],
    reason: str,
    ticket: str,
    requested_by: str,
    approved_by: str,
    expires_in: str,
    max_uses: int,
    renews: str | None,
    origin: str | None,
    trust: str | None,
    key: Path,
    passphrase_file: Path | None,
    out: Path,
    **options: Any,
) -> Result:
    """Write a waiver and sign it as its requester. Opens a connection only with --decision."""
    require_writable(out, "--out")
    about = {name: options.pop(name) for name in ("policy", "environment", "subjects", "offenders", "found", "outcome")}
    denied = _stated(about) if request_id is None else _recorded(request_id, rules, about, options)
    now = datetime.now(UTC)
    statement = WaiverStatement(
        origin=origin or _trusted_origin(trust),
        policy=denied.policy,
        environment=denied.environment,
        rules=tuple(sorted(set(rules))),
        outcome=denied.outcome,
        offenders=denied.offenders,
        found=denied.found,
        digests=denied.digests,
        repositories=tuple(sorted(set(repositories))),
        reason=reason,
        ticket=ticket,
        requested_by=requested_by,
        approved_by=approved_by,
        not_before=now,
        expires=now + duration(expires_in),
        max_uses=max_uses,
        renews=None if renews is None else renews.removeprefix("sha256:"),
    )
    write_file(out, sign_waiver(statement, load_key(key, passphrase_file)))
    return Result(
        name="requested",
        members={"digest": statement.digest, "waiver": str(out)},
        story=f"{told(statement)}\n  in {out}\n next     {clean(approved_by)} reads it and runs: "
        f"signer waiver approve {out} --key KEY",
    )


def told(statement: WaiverStatement) -> str:
    """A waiver for people: everything that they agree to."""
    names = [each.id if each.package is None else f"{each.id} in {each.package}" for each in statement.offenders]
    rows = (
        ("rules", ", ".join(statement.rules)),
        ("excuses", ", ".join(names) or f"{statement.outcome}: {statement.found}"),
        ("for", f"{statement.policy} -> {statement.environment}"),
        ("digests", ", ".join(f"sha256:{digest}" for digest in statement.digests)),
        ("source", ", ".join(statement.repositories)),
        ("reason", f"{statement.reason} ({statement.ticket})"),
        ("asked by", f"{statement.requested_by}, of {statement.approved_by}"),
        ("until", f"{format_time(statement.expires)}, at most {statement.max_uses} uses"),
        ("renews", "" if statement.renews is None else f"sha256:{statement.renews}"),
    )
    lines = [f"WAIVER  sha256:{statement.digest}", *(f"  {name:<9}{clean(text)}" for name, text in rows if text)]
    return "\n".join(lines)


def _stated(about: Mapping[str, Any]) -> Denied:
    missing = [f"--{name}" for name in ("policy", "environment") if about[name] is None]
    if missing:
        raise click.UsageError(f"name {' and '.join(missing)}, or the denial with --decision")
    if bool(about["offenders"]) == (about["found"] is not None):
        raise click.UsageError("say what is excused: by --offender, or by --found where the finding names none")
    return Denied(
        policy=about["policy"],
        environment=about["environment"],
        digests=tuple(sorted({text.removeprefix("sha256:") for text in about["subjects"]})),
        outcome=about["outcome"] or "fail",
        offenders=_sorted(map(_offender, about["offenders"])),
        found=about["found"],
    )


def _recorded(request_id: str, rules: Sequence[str], about: Mapping[str, Any], options: Mapping[str, Any]) -> Denied:
    given = [f"--{name}" for name in ("policy", "environment", "offenders", "found", "outcome") if about[name]]
    if given or len(rules) != 1:
        raise click.UsageError("--decision goes with exactly one --rule, and fills in what else describes the denial")
    document = client_of(settings_of(**options)).decision(request_id)
    findings = [
        finding
        for finding in document.get("findings", ())
        if finding.get("rule") == rules[0] and finding.get("outcome") in ("fail", "unknown")
    ]
    if not findings:
        raise Malformed("nothing-to-waive", f"{rules[0][:64]} neither failed nor was unknown in that decision")
    outcomes, found = ({finding[name] for finding in findings} for name in ("outcome", "found"))
    offenders = {(each["id"], each.get("package")) for finding in findings for each in finding.get("offenders", ())}
    if len(outcomes) > 1 or (not offenders and len(found) > 1):
        raise Malformed(
            "nothing-to-waive",
            f"{rules[0][:64]} ended in several ways in that decision",
            remedy="request one waiver for each, with --outcome, --found or --offender and --subject",
        )
    concerned = {index for finding in findings for index in finding["subjects"]}
    digests = {subject["digest"]["sha256"] for index, subject in enumerate(document["subjects"]) if index in concerned}
    chosen = {text.removeprefix("sha256:") for text in about["subjects"]}
    return Denied(
        policy=document["policy"]["name"],
        environment=document["environment"],
        digests=tuple(sorted(digests & chosen if chosen else digests)),
        outcome=outcomes.pop(),
        offenders=_sorted(Offender(id=name, package=package) for name, package in offenders),
        found=None if offenders else found.pop(),
    )


def _offender(text: str) -> Offender:
    name, within, package = text.partition(" in ")
    return Offender(id=name, package=package if within else None)


def _sorted(offenders: Any) -> tuple[Offender, ...]:
    return tuple(sorted(set(offenders), key=lambda each: (each.id, each.package or "")))


def _trusted_origin(trust: str | None) -> str:
    path = settings_of(trust=trust).get("trust")
    if path is None:
        raise Misconfigured("setting-missing", "whose waiver it is must be said", remedy="give --trust or --origin")
    # Whether its signatures protect anything is not the question here: only whose ledger is spoken of.
    return verify_trust(read_file(Path(path), limit=MAX_TRUST), checks=Checklist(), allow_dev=True).origin
