# SPDX-License-Identifier: Apache-2.0
"""A hold as an approver sees it: what is asked, the six answers, the evidence and its age, and what is new.

    APPROVAL ASKED  sha256:9f2c5fd0…  shop -> production
     hold 5d41402abc4b2a76b9719d911017c592  policy demo v1 (3b1f6a22c0de…)

     + yes      Which digest is being approved?
     ! unknown  Is rollback defined for the exact digest being promoted?
          no rule asks for a rollback plan

The whole digest is shown, never a part of it. What is signed is computed here, from what is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from policy.questions import Answered, recorded_answers
from policy.release import cited
from policy.wording import span
from signer.cli.output import clean, colour
from signer.domain.subject import Subject
from signer.errors import Malformed, Refused
from signer.formats.canonical import canonical
from signer.formats.findings import decode_findings
from signer.formats.rfc3339 import parse_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A hold, read from the authority's answer and computed anew."""

    hold: str
    state: str
    origin: str
    caller: str
    """Person id of whoever asked for it; empty for a robot."""
    subject: Subject
    environment: str
    policy: str
    policy_version: int
    policy_digest: str
    cited: str
    answers: str
    answered: tuple[Answered, ...]
    evidence: tuple[Mapping[str, Any], ...]
    approvals: tuple[Mapping[str, Any], ...]
    waits: tuple[str, ...]
    compared: Mapping[str, Any] | None
    """What runs there now, or was released last, and what differs from it."""

    @property
    def against(self) -> tuple[Answered, ...]:
        """The answers that speak against the release."""
        return tuple(each for each in self.answered if not each.good)


def read_sheet(document: Mapping[str, Any]) -> Sheet:
    """Read a hold; raises Malformed, or Refused when the answers are not those of the findings that are shown."""
    try:
        decision, hold = document["decision"], document["hold"]
        (entry,) = decision["subjects"]
        subject = Subject.of(entry["name"], entry["digest"])
        findings = decode_findings(canonical({"findings": decision["findings"], "verdict": decision["verdict"]}))
        answered, digest = recorded_answers(
            findings,
            policy_digest=decision["policy"]["digest"],
            environment=decision["environment"],
            subjects=((subject.name, subject.sha256),),
        )
        caller = str(document["caller"])
        sheet = Sheet(
            hold=hold["request_id"],
            state=hold["state"],
            origin=document["origin"],
            caller=caller.removeprefix("person:") if caller.startswith("person:") else "",
            subject=subject,
            environment=decision["environment"],
            policy=decision["policy"]["name"],
            policy_version=decision["policy"]["version"],
            policy_digest=decision["policy"]["digest"],
            cited=cited(findings),
            answers=digest,
            answered=answered,
            evidence=tuple(document["evidence"]),
            approvals=tuple(hold["approvals"]),
            waits=tuple(each.title for each in findings if each.outcome.value == "waiting"),
            compared=document["compared"],
        )
        told = (hold["answers"], hold["cited"], hold["sha256"])
    except (KeyError, TypeError, ValueError) as fault:
        raise Malformed("malformed-json", f"the answer is no hold: {type(fault).__name__}") from None
    if told != (sheet.answers, sheet.cited, sheet.subject.sha256):
        raise Refused(
            "hold-superseded",
            "the recorded answers are not those of the findings that are shown",
            remedy="ask for the release again; when it stays so, tell the security team",
        )
    return sheet


def render_sheet(sheet: Sheet, *, now: datetime) -> str:
    """The sheet for people."""
    lines = [
        f"{colour('APPROVAL ASKED', 'yellow')}  {clean(sheet.subject.name)} -> {clean(sheet.environment)}",
        f" digest    sha256:{sheet.subject.sha256}",
        f" hold      {clean(sheet.hold)} ({clean(sheet.state)})",
        f" policy    {clean(sheet.policy)} v{sheet.policy_version} (sha256:{sheet.policy_digest})",
        *(f" waits     {clean(title)}" for title in sheet.waits),
        "",
        f" answers   sha256:{sheet.answers}",
    ]
    for each in sheet.answered:
        lines.append(f" {'+' if each.good else '!'} {each.answer:<8} {each.question}")
        lines.append(f"            {clean(each.why)}")
    lines += ["", " evidence", *(_evidence(each, now) for each in sheet.evidence)]
    lines += ["", *_changes(sheet, now)]
    if sheet.approvals:
        lines += ["", " said", *(_said(each) for each in sheet.approvals)]
    return "\n".join(lines)


def _evidence(each: Mapping[str, Any], now: datetime) -> str:
    by = f" by {each.get('by')}" if each.get("by") else ""
    return clean(f"   {_age(each, 'received', now):<8} {each.get('kind')}{by}  sha256:{each.get('digest')}")


def _changes(sheet: Sheet, now: datetime) -> Sequence[str]:
    last = sheet.compared
    if last is None:
        return (" compared  nothing else was released for this environment of late",)
    what = "which runs there now, deployed" if last.get("as") == "deployed" else "released"
    lines = [clean(f" compared  with sha256:{last.get('sha256')}, {what} {_age(last, 'time', now)} ago")]
    if last.get("known") is not True:
        lines.append("   nothing is known of it: this authority allowed no such release")
    elif last.get("sha256") == sheet.subject.sha256:
        lines.append("   this very digest runs there already")
    for each in last.get("differences", ()):
        if each.get("what") != "digest":
            before, after = each.get("before") or "none", each.get("now") or "none"
            lines.append(clean(f"   {each.get('what')!s:<15} {before} -> {after}"))
    return lines


def _said(each: Mapping[str, Any]) -> str:
    taken = "  taken back" if each.get("revoked") else ""
    reason = f": {each.get('reason')}" if each.get("reason") else ""
    return clean(f"   {each.get('verb')} by {each.get('approver')} ({each.get('form')}){reason}{taken}")


def _age(each: Mapping[str, Any], name: str, now: datetime) -> str:
    return span(max(now - parse_time(str(each.get(name)), what=name), now - now))
