# SPDX-License-Identifier: Apache-2.0
"""A check for people: what is left to do before the release, who does it, and one command for each.

    DENIED  sha256:9f2c5fd01ab2…  shop -> release
     request 5d41402abc4b2a76b9719d911017c592  policy demo v1 (3b1f6a22c0de…)
     1 failed, 1 unknown, 6 passed; a check: nothing was recorded, nothing was signed

     to do    what failed
     [ ] VUL-1  the developer updates the affected components; the pipeline builds and scans again
           why    needs a fresh scan within the limits; 1 high …
           run    signer sign --evidence SCAN
     done     BLD-1, SBM-1, SRC-1

The input is the decision document as the server sent it: nothing in it is trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from signer.cli.denial import BLOCKING, Paint, findings_of, heading, summary
from signer.cli.output import clean

_HEADINGS: Final[Mapping[str, str]] = {
    "fail": "what failed",
    "unknown": "what is missing or cannot be told",
    "frozen": "what has to wait for the end of a freeze",
    "waiting": "who still has to approve",
}
_COMMAND: Final = ": signer "


def render_todo(document: Mapping[str, Any], *, paint: Paint) -> str:
    """Text of a check: every finding that stands in the way as one thing to do, grouped; then what is done."""
    lines = heading(document, paint=paint)
    findings = findings_of(document)
    for outcome in BLOCKING:
        group = [finding for finding in findings if finding.get("outcome") == outcome]
        if group:
            lines += ["", f" to do    {_HEADINGS[outcome]}", *(line for finding in group for line in _item(finding))]
    later = [finding for finding in findings if finding.get("outcome") == "shadow" and finding.get("would") in BLOCKING]
    if later:
        lines += [
            "",
            " later    what would stop it once the rule is in force",
            *(x for each in later for x in _item(each)),
        ]
    done = dict.fromkeys(_text(finding, "rule") for finding in findings if finding.get("outcome") == "pass")
    if done:
        lines += ["", f" done     {clean(', '.join(done))}"]
    lines += summary(document)
    if any(finding.get("outcome") in BLOCKING for finding in findings):
        lines.append(" next     do what is listed, then run `signer check` again with the same options")
    return "\n".join(lines)


def _item(finding: Mapping[str, Any]) -> list[str]:
    who, _, command = _text(finding, "remedy").partition(_COMMAND)
    rows = [("why", _text(finding, "title")), ("found", _text(finding, "found"))]
    if command:
        rows.append(("run", f"signer {command}"))
    first = f" [ ] {clean(_text(finding, 'rule'))}  {clean(who or _text(finding, 'required'))}"
    return [first, *(f"       {label:<7}{clean(text)}" for label, text in rows if text)]


def _text(finding: Mapping[str, Any], name: str) -> str:
    value = finding.get(name)
    return value if isinstance(value, str) else ""
