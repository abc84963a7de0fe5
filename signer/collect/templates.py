# SPDX-License-Identifier: Apache-2.0
"""Documents that people fill in, and the record of an approval that was given elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from signer.collect.change import plain
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.canonical import canonical
from signer.formats.rfc3339 import format_time
from signer.formats.shape import require_printable

BLANK = "FILL IN:"
"""Marks what a person has to write; `signer evidence add` refuses a document that still holds it."""


def pull_request_summary(subjects: Sequence[Subject], *, pull_request: str | None) -> bytes:
    """A summary for a change that git does not describe; `signer evidence collect git --summary` fills it by itself."""
    return _document(
        "# Pull request summary",
        "",
        f"- pull request: {_or_blank(pull_request, 'address of the pull request')}",
        *_subject_lines(subjects),
        f"- base: {BLANK} full commit id",
        f"- head: {BLANK} full commit id",
        "",
        "## What changes, and why",
        "",
        f"{BLANK} one paragraph",
        "",
        "## Who reviewed it",
        "",
        f"{BLANK} names, and what each looked at",
        "",
        "## Changes to how it is built, reviewed or deployed",
        "",
        f"{BLANK} workflow files, owners, permissions; or none",
    )


def rollback_plan(subjects: Sequence[Subject], *, environment: str | None, to: str | None) -> bytes:
    """A plan that names the exact digest being promoted and the exact digest to return to."""
    return _document(
        "# Rollback plan",
        "",
        f"- environment: {_or_blank(environment, 'name of the environment')}",
        *_subject_lines(subjects),
        f"- back to: {_or_blank(to, 'digest that runs there now, sha256:…')}",
        "",
        "## When to roll back",
        "",
        f"{BLANK} the signal, its threshold, and who decides",
        "",
        "## Steps",
        "",
        f"{BLANK} the commands, and how long they take",
        "",
        "## What does not roll back",
        "",
        f"{BLANK} data, schema, messages; or nothing",
        "",
        "## Last tried",
        "",
        f"{BLANK} when, on which digest, by whom",
    )


def approval_record(
    *, reference: str, digest: str | None, environment: str, approver: str, at: datetime, source: str
) -> bytes:
    """An approval given elsewhere (ticket, chat, platform): it counts for no rule, and findings compare it.

    {"approver":"ada@acme.example","at":"2026-11-23T09:00:00Z","digest":"sha256:9c56…","environment":"production",
     "reference":"registry.example/shop:1.2","source":"https://tickets.example/CHG-17"}
    """
    texts = {"reference": reference, "environment": environment, "approver": approver, "source": source}
    for name, text in texts.items():
        require_printable(text, what=f"{name} of the approval")
    if BLANK in " ".join(texts.values()):
        raise Malformed("approval-incomplete", "an approval record has no blanks", remedy="give every value")
    return canonical({**texts, "at": format_time(at), "digest": digest})


def blanks(data: bytes) -> int:
    """How many places of a document are still to be filled in."""
    return data.count(BLANK.encode())


def _subject_lines(subjects: Sequence[Subject]) -> list[str]:
    if not subjects:
        return [f"- artifact: {BLANK} name and digest, sha256:…"]
    return [f"- artifact: {plain(subject.name)} `sha256:{subject.sha256}`" for subject in subjects]


def _or_blank(text: str | None, wanted: str) -> str:
    return f"{BLANK} {wanted}" if text is None else plain(require_printable(text, what=wanted))


def _document(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
