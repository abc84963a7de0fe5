# SPDX-License-Identifier: Apache-2.0
"""A decision for people: grouped by outcome, each finding with required, found, evidence and remedy.

    DENIED  sha256:9f2c5fd01ab2…  shop -> release
     request 5d41402abc4b2a76b9719d911017c592  policy demo v1 (3b1f6a22c0de…)
     1 failed, 1 unknown, 6 passed; nothing was signed

     x VUL-1  one high vulnerability is above the limit of 0                    [artifact/better]
         required  at most 0 high vulnerabilities
         found     CVE-2026-40021 (high) in a scan of 2026-11-23T01:40:00Z
         evidence  sha256:77ab… (bound by subject)
         fix       update the component and build again
     ? TST-1  …
     next     fix, then send the same request again; stored evidence is kept. signer explain 5d41… --rule VUL-1

The input is the decision document (`signer.formats.decision`) as the server sent it, so nothing in it is trusted
to have the right type or to be safe for a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from signer.cli.output import clean

Paint = Callable[[str, Literal["red", "green", "yellow"]], str]

_GROUPS: tuple[tuple[str, str, str], ...] = (
    ("fail", "x", "failed"),
    ("unknown", "?", "unknown"),
    ("frozen", "*", "frozen"),
    ("waiting", "…", "waiting"),
    ("waived", "~", "waived"),
    ("shadow", "i", "shadow"),
    ("pass", "+", "passed"),
    ("not-applicable", "-", "not applicable"),
)
"""Outcome, its mark, its word in the count line; in the order in which people need them."""

BLOCKING = ("fail", "unknown", "frozen", "waiting")
"""Outcomes that stand in the way, in the order of the answers' precedence."""
_HEADS: Mapping[str, tuple[str, Literal["red", "green", "yellow"]]] = {
    "allow": ("ALLOWED", "green"),
    "deny": ("DENIED", "red"),
    "frozen": ("FROZEN", "yellow"),
    "hold": ("WAITING", "yellow"),
}
_SHOWN_SUBJECTS = 10
_SHORT = 12


def render_decision(
    document: Mapping[str, Any],
    *,
    paint: Paint,
    every: bool = False,
    rule: str | None = None,
    outcome: Mapping[str, Any] | None = None,
) -> str:
    """Text of a decision: what blocks it, or with `every` all findings; `rule` narrows it to one rule."""
    verdict = _text(document, "verdict")
    findings = findings_of(document)
    lines = heading(document, paint=paint, outcome=outcome)
    shown = [finding for finding in findings if rule is None or _text(finding, "rule") == rule]
    if rule is not None and not shown:
        lines.append(f" no finding of the rule {clean(rule)}")
    blocks: list[str] = []
    for kind, mark, _ in _GROUPS:
        if kind in BLOCKING or kind in ("waived", "shadow") or every or rule is not None:
            blocks += [
                line
                for finding in shown
                if _text(finding, "outcome") == kind
                for line in _finding(finding, mark, document)
            ]
    if blocks:
        lines += ["", *blocks]
    if every and rule is None:
        lines += summary(document)
    lines += _next(document, findings, verdict, explained=every or rule is not None)
    return "\n".join(lines)


def heading(document: Mapping[str, Any], *, paint: Paint, outcome: Mapping[str, Any] | None = None) -> list[str]:
    """Verdict, subjects, request, policy, and how many rules ended how."""
    verdict = _text(document, "verdict")
    findings = findings_of(document)
    outcomes = {_text(finding, "outcome") for finding in findings}
    if "frozen" in outcomes and not outcomes & {"fail", "unknown"}:
        verdict = "frozen"
    head, name = _HEADS.get(verdict, (verdict.upper() or "NO VERDICT", "red"))
    return [*_heading(document, paint(head, name)), " " + _counts(findings, document, outcome)]


def findings_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The findings that are objects."""
    return [finding for finding in _list(document, "findings") if isinstance(finding, Mapping)]


def summary(document: Mapping[str, Any]) -> list[str]:
    """The earned level of each control, and the six questions with their answers."""
    return [*_matrix(document), *_questions(document)]


def short(digest: str) -> str:
    """The first digits of a digest, for people."""
    return f"{clean(digest[:_SHORT])}…" if len(digest) > _SHORT else clean(digest)


def _heading(document: Mapping[str, Any], head: str) -> list[str]:
    policy = document.get("policy")
    policy = policy if isinstance(policy, Mapping) else {}
    environment = clean(_text(document, "environment"))
    names = [
        (_text(subject, "name"), _sha256(subject))
        for subject in _list(document, "subjects")
        if isinstance(subject, Mapping)
    ]
    lines = [f"{head}  sha256:{short(digest)}  {clean(name)} -> {environment}" for name, digest in names[:1]]
    lines += [
        f"{'':>{len('DENIED')}}  sha256:{short(digest)}  {clean(name)}" for name, digest in names[1:_SHOWN_SUBJECTS]
    ]
    if len(names) > _SHOWN_SUBJECTS:
        lines.append(f"        and {len(names) - _SHOWN_SUBJECTS} more subjects")
    request = clean(_text(document, "request_id"))
    version = clean(str(policy.get("version", "?")))
    lines = lines or [f"{head}  {environment}"]
    lines.append(
        f" request {request}  policy {clean(_text(policy, 'name'))} v{version} ({short(_text(policy, 'digest'))})"
    )
    return lines


def _counts(
    findings: Sequence[Mapping[str, Any]], document: Mapping[str, Any], outcome: Mapping[str, Any] | None
) -> str:
    counts = [
        f"{number} {word}"
        for kind, _, word in _GROUPS
        if (number := sum(_text(finding, "outcome") == kind for finding in findings))
    ]
    if outcome is not None:
        ending = f"outcome {clean(_text(outcome, 'status') or 'none')}"
    elif document.get("leaf") is None:
        ending = "a check: nothing was recorded, nothing was signed"
    else:
        ending = "nothing was signed" if _text(document, "verdict") != "allow" else "recorded"
    return f"{', '.join(counts) or 'no rule was judged'}; {ending}"


def _finding(finding: Mapping[str, Any], mark: str, document: Mapping[str, Any]) -> list[str]:
    place = f"[{_text(finding, 'control')}/{_text(finding, 'level')}]"
    lines = [f" {mark} {clean(_text(finding, 'rule'))}  {clean(_text(finding, 'title'))}  {clean(place)}"]
    evidence = [f"sha256:{short(str(digest))}" for digest in _list(finding, "evidence")]
    bound = _text(finding, "bound")
    rows = [
        ("subject", ", ".join(_subjects(finding, document))),
        ("required", _text(finding, "required")),
        ("found", _text(finding, "found")),
        ("evidence", f"{', '.join(evidence)} (bound by {bound})" if evidence else ""),
        ("waived", "; ".join(_waivers(finding))),
        # The judge knows no request id; a denial that was not recorded has none to name.
        ("fix", _text(finding, "remedy").replace("REQUEST-ID", _text(document, "request_id") or "REQUEST-ID")),
    ]
    return lines + [f"     {label:<9} {clean(text)}" for label, text in rows if text]


def _waivers(finding: Mapping[str, Any]) -> list[str]:
    """By which waivers a finding is waived, by whom, until when, and which use this is."""
    return [
        f"sha256:{short(_text(use, 'digest'))} until {_text(use, 'expires')} (use {use.get('use')} of "
        f"{use.get('max_uses')}), approved by {_text(use, 'approved_by')}"
        for use in _list(finding, "waived_by")
        if isinstance(use, Mapping)
    ]


def _subjects(finding: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    """Names of the subjects that a finding is about, when it is not about all of them."""
    subjects = _list(document, "subjects")
    indices = [index for index in _list(finding, "subjects") if isinstance(index, int) and 0 <= index < len(subjects)]
    if len(indices) in (0, len(subjects)):
        return []
    names = [_text(subjects[index], "name") for index in indices[:_SHOWN_SUBJECTS]]
    return names if len(indices) <= _SHOWN_SUBJECTS else [*names, f"and {len(indices) - _SHOWN_SUBJECTS} more"]


def _matrix(document: Mapping[str, Any]) -> list[str]:
    matrix = document.get("matrix")
    if not isinstance(matrix, Mapping) or not matrix:
        return []
    cells = [f"{clean(str(control))} {clean(str(level)) if level else 'none'}" for control, level in matrix.items()]
    return ["", f" levels   {', '.join(cells)}"]


def _questions(document: Mapping[str, Any]) -> list[str]:
    questions = [question for question in _list(document, "questions") if isinstance(question, Mapping)]
    if not questions:
        return []
    lines = ["", f" answers  sha256:{short(_text(document, 'answers'))}"]
    for question in questions:
        mark = "+" if question.get("good") is True else "!"
        lines.append(f" {mark} {clean(_text(question, 'answer')):<8} {clean(_text(question, 'question'))}")
        lines.append(f"     {'':<6}{clean(_text(question, 'why'))}")
    return lines


def _next(
    document: Mapping[str, Any], findings: Sequence[Mapping[str, Any]], verdict: str, *, explained: bool
) -> list[str]:
    """The one command that helps now."""
    if verdict == "allow":
        return []
    if document.get("leaf") is None:
        return [" next     fix what is listed, then run `signer check` again with the same options"]
    if verdict == "hold":
        request = clean(_text(document, "request_id"))
        return [
            f" next     people of the groups look at it and approve: signer approve {request}",
            "          then send the same request again, or wait for them: signer sign --wait 30m",
        ]
    lines = [" next     fix what is listed, then send the same request again; stored evidence is kept"]
    if not explained:
        blocking = next((finding for kind in BLOCKING for finding in findings if _text(finding, "outcome") == kind), {})
        rule = f" --rule {clean(_text(blocking, 'rule'))}" if blocking else ""
        lines.append(f"          signer explain {clean(_text(document, 'request_id'))}{rule}")
    return lines


def _text(value: object, name: str) -> str:
    member = value.get(name) if isinstance(value, Mapping) else None
    return member if isinstance(member, str) else ""


def _list(value: Mapping[str, Any], name: str) -> Sequence[Any]:
    member = value.get(name)
    return member if isinstance(member, list | tuple) else ()


def _sha256(subject: Mapping[str, Any]) -> str:
    return _text(subject.get("digest"), "sha256")
