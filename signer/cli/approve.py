# SPDX-License-Identifier: Apache-2.0
"""`signer approve` and `signer reject`: one person says yes or no to one hold, over the answers as they are shown."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from signer.cli.approval_key import ApprovalKey, approval_key_options, approver_options
from signer.cli.hold_sheet import Sheet, read_sheet, render_sheet
from signer.cli.options import (
    FILE,
    READABLE,
    client_of,
    connection_options,
    read_file,
    require_writable,
    settings_of,
    write_file,
)
from signer.cli.output import Result, clean, colour, mode_option
from signer.client.http import answer_malformed
from signer.errors import Malformed
from signer.formats.approval import ApprovalStatement, Verb
from signer.formats.strict_json import parse_object

MAX_REASONS = 64 * 1024

EPILOG = """\b
Examples:
  signer approve 5d41402abc4b2a76b9719d911017c592
  signer approve 5d41402abc4b2a76b9719d911017c592 --template reasons.json
  signer approve 5d41402abc4b2a76b9719d911017c592 --reasons reasons.json --key kim.pem
"""


@click.command(epilog=EPILOG)
@click.argument("hold")
@approver_options
@approval_key_options
@click.option("--reason", default="", help="Anything to be remembered, in one line.")
@click.option("--template", type=FILE, help="Write the questions and answers here, with room for reasons, and stop.")
@click.option("--reasons", type=READABLE, help="The template with a reason for each answer that needs one.")
@connection_options
@mode_option
def approve(
    *,
    hold: str,
    approver: str | None,
    key: ApprovalKey | None,
    recorded: bool,
    yes: bool,
    reason: str,
    template: Path | None,
    reasons: Path | None,
    **flags: str | None,
) -> Result:
    """Say yes to one hold: one digest, for one environment, on the evidence and the answers that are shown.

    Without --key or --recorded it only shows them.
    """
    require_writable(template, "--template")
    client = client_of(settings_of(**flags))
    sheet = _sheet(client.hold(hold))
    shown = render_sheet(sheet, now=datetime.now(UTC))
    if template is not None:
        write_file(template, _template(sheet))
        return Result(
            name="written", members={"hold": hold, "template": str(template)}, story=f"{shown}\n\n in {template}"
        )
    if key is None and not recorded:
        next_ = f" next      signer approve {clean(hold)} --key KEY" + (" --reasons FILE" if sheet.against else "")
        return Result(name="shown", members=_members(sheet), story=f"{shown}\n\n{next_}")
    given = {} if reasons is None else _reasons(reasons, sheet)
    statement = _statement(sheet, "approve", approver=approver, reason=reason, reasons=given)
    _confirm(shown, "Approve exactly this?", yes=yes)
    return _record(client, sheet, statement, key=key, shown=shown)


@click.command()
@click.argument("hold")
@approver_options
@approval_key_options
@click.option("--reason", required=True, help="Why not, in one line; whoever asked reads it.")
@connection_options
@mode_option
def reject(
    *,
    hold: str,
    approver: str | None,
    key: ApprovalKey | None,
    recorded: bool,
    yes: bool,
    reason: str,
    **flags: str | None,
) -> Result:
    """Say no to one hold: the same request is denied until other evidence decides, or you take it back."""
    if key is None and not recorded:
        raise click.UsageError("sign it with --key, or say --recorded")
    client = client_of(settings_of(**flags))
    sheet = _sheet(client.hold(hold))
    shown = render_sheet(sheet, now=datetime.now(UTC))
    statement = _statement(sheet, "reject", approver=approver, reason=reason, reasons={})
    _confirm(shown, "Reject this?", yes=yes)
    return _record(client, sheet, statement, key=key, shown=shown)


def _sheet(answer: Mapping[str, Any]) -> Sheet:
    try:
        return read_sheet(answer)
    except Malformed as fault:
        raise answer_malformed(fault) from None


def _statement(
    sheet: Sheet, verb: Verb, *, approver: str | None, reason: str, reasons: Mapping[str, str]
) -> ApprovalStatement:
    person = approver or sheet.caller
    if not person:
        raise click.UsageError("a robot approves nothing: name the person who signs with --approver")
    return ApprovalStatement(
        verb=verb,
        origin=sheet.origin,
        hold=sheet.hold,
        subject=sheet.subject,
        environment=sheet.environment,
        policy=sheet.policy,
        policy_digest=sheet.policy_digest,
        cited=sheet.cited,
        answers=sheet.answers,
        answered={each.id: each.answer for each in sheet.answered},
        reasons=reasons,
        reason=reason,
        approver=person,
        at=datetime.now(UTC),
    )


def _confirm(shown: str, question: str, *, yes: bool) -> None:
    """Somebody who sits at the terminal sees what they sign before they do."""
    if not yes and sys.stdin.isatty():
        click.echo(shown, err=True)
        click.confirm(question, abort=True, err=True)


def _record(
    client: Any,
    sheet: Sheet,
    statement: ApprovalStatement,
    *,
    key: ApprovalKey | None,
    shown: str,
) -> Result:
    if key is None:
        answer = client.record_approval(statement.payload(), signed=False)
    else:
        answer = client.record_approval(key.sign(statement), signed=True)
    leaf = answer.get("leaf")
    if answer.get("digest") != statement.digest or type(leaf) is not int:
        raise answer_malformed(Malformed("malformed-json", "the answer names another approval"))
    form = "recorded" if key is None else "signed"
    word = colour("APPROVED", "green") if statement.verb == "approve" else colour("REJECTED", "red")
    lines = [shown, "", f"{word}  by {clean(statement.approver)} ({form}): leaf {leaf}"]
    lines.append(f" approval  sha256:{statement.digest}")
    if statement.verb == "approve":
        lines.append(" next      the pipeline sends the same request again: signer sign")
    return Result(
        name="approved" if statement.verb == "approve" else "rejected",
        members={**_members(sheet), "digest": statement.digest, "leaf": leaf, "form": form},
        story="\n".join(lines),
    )


def _members(sheet: Sheet) -> dict[str, Any]:
    return {
        "hold": sheet.hold,
        "sha256": sheet.subject.sha256,
        "environment": sheet.environment,
        "answers": sheet.answers,
        "questions": [
            {"id": each.id, "question": each.question, "answer": each.answer, "good": each.good, "why": each.why}
            for each in sheet.answered
        ],
    }


def _template(sheet: Sheet) -> bytes:
    value = {
        "hold": sheet.hold,
        "answers": sheet.answers,
        "questions": [
            {"id": each.id, "question": each.question, "answer": each.answer, "why": each.why, "reason": ""}
            for each in sheet.answered
        ],
    }
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _reasons(path: Path, sheet: Sheet) -> dict[str, str]:
    """The reasons of a filled template, which has to be of this hold; raises Malformed."""
    value = parse_object(read_file(path, limit=MAX_REASONS), limit=MAX_REASONS, what="reasons")
    if (value.get("hold"), value.get("answers")) != (sheet.hold, sheet.answers):
        raise Malformed("malformed-approval", "these reasons were written for another hold", remedy="write them anew")
    questions = value.get("questions")
    found = {}
    for each in questions if isinstance(questions, list) else ():
        if isinstance(each, dict) and isinstance(each.get("reason"), str) and each["reason"].strip():
            found[str(each.get("id"))] = each["reason"]
    return found
