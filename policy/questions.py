# SPDX-License-Identifier: Apache-2.0
"""The six questions before a promotion, answered yes, no or unknown from the findings of the rules that gate.

An approver signs the digest of the answers. Nothing is answered in the release's favour without a rule that passed:
what no rule of the environment asks is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal

from policy.decision import Finding, Outcome
from policy.facts import SubjectFact
from policy.ledger_facts import LedgerFacts
from policy.release import Release, cited

Answer = Literal["yes", "no", "unknown"]

QUESTIONS: Final = {
    "digest": "Which digest is being approved?",
    "source": "Was it built from a reviewed and protected source change?",
    "pipeline": "Do provenance and builder metadata match the expected pipeline?",
    "tests": "Did required tests and scans run on the same subject digest?",
    "findings": "Are there unresolved blocking findings or exceptions?",
    "rollback": "Is rollback defined for the exact digest being promoted?",
}
"""The questions in their order; the first is answered yes when exactly one digest is asked for."""
GOOD: Final = {name: "no" if name == "findings" else "yes" for name in QUESTIONS}
"""The answer that speaks for the release; every other one needs a written reason of the approver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One question and its answer."""

    id: str
    question: str
    answer: Answer
    why: str
    """What the answer rests on, in words: the digest, or the rules and how they ended."""
    rules: tuple[str, ...]
    evidence: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether it speaks for the release."""
        return self.answer == GOOD[self.id]


def answers(release: Release) -> tuple[Answered, ...]:
    """The six answers for a release and the findings that were made about it.

    What rules of the deployment control found of the moment (a freeze, approvals, other releases) has no part in them.
    """
    gating = [finding for finding in release.findings if finding.outcome is not Outcome.SHADOW]
    judged = [finding for finding in gating if finding.control != "deployment"]
    source = [finding for finding in judged if finding.control == "source"]
    built = [finding for finding in judged if finding.type.startswith("build.")]
    tests = [finding for finding in judged if finding.type.startswith("tests.")]
    scans = [finding for finding in judged if finding.type.startswith("vulns.")]
    plans = [finding for finding in gating if finding.type == "deployment.rollback"]
    # The lowest level of the source control knows protected branches; reviews begin above it.
    reviewed = any(finding.level != "minimum" for finding in source)
    expected = any(finding.type == "build.provenance" for finding in built)
    return (
        _digest(release),
        _answered("source", source, asked=reviewed, missing="no rule asks for reviews"),
        _answered("pipeline", built, asked=expected, missing="no rule asks for provenance of the expected pipeline"),
        _answered(
            "tests", [*tests, *scans], asked=bool(tests and scans), missing="not both tests and scans are asked for"
        ),
        _open(judged, asked=bool(scans)),
        _answered("rollback", plans, asked=bool(plans), missing="no rule asks for a rollback plan"),
    )


def question_objects(answered: Iterable[Answered]) -> list[dict[str, Any]]:
    """The questions as JSON objects, to stand inside another document; the evidence stands in the findings."""
    return [
        {
            "id": each.id,
            "question": each.question,
            "answer": each.answer,
            "good": each.good,
            "why": each.why,
            "rules": list(each.rules),
        }
        for each in answered
    ]


def recorded_answers(
    findings: Iterable[Finding], *, policy_digest: str, environment: str, subjects: Iterable[tuple[str, str]]
) -> tuple[tuple[Answered, ...], str]:
    """The six answers of a recorded decision and their digest; `subjects` are (name, sha256)."""
    release = Release(
        policy="",
        environment=environment,
        submitter="",
        subjects=tuple(SubjectFact(name=name, sha256=digest) for name, digest in subjects),
        ledger=LedgerFacts(policy_digest=policy_digest, access_digest=""),
        findings=tuple(findings),
    )
    answered = answers(release)
    return answered, digest_of(answered, release)


def digest_of(answered: Iterable[Answered], release: Release) -> str:
    """sha256 of the answers of one release, as an approver signs it.

    Over JSON with sorted keys: {"answers":{"digest":"yes",…},"cited":"…","environment":"…","policy":"<sha256>",
    "subjects":["<sha256>"]}.
    """
    value = {
        "answers": {each.id: each.answer for each in answered},
        "cited": cited(release.findings),
        "environment": release.environment,
        "policy": release.ledger.policy_digest,
        "subjects": [subject.sha256 for subject in release.subjects],
    }
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _digest(release: Release) -> Answered:
    named = tuple(f"sha256:{subject.sha256}" for subject in release.subjects)
    answer: Answer = "yes" if len(named) == 1 else "unknown"
    why = named[0] if len(named) == 1 else f"{len(named)} digests in one request"
    return Answered(id="digest", question=QUESTIONS["digest"], answer=answer, why=why, rules=(), evidence=())


def _answered(name: str, findings: Sequence[Finding], *, asked: bool, missing: str) -> Answered:
    """Yes when every finding passed and a rule asks all of it; no when one failed; unknown else."""
    if any(_failed(finding) for finding in findings):
        answer: Answer = "no"
    elif asked and all(finding.outcome is Outcome.PASS for finding in findings):
        answer = "yes"
    else:
        answer = "unknown"
    return _told(name, findings, answer, "" if asked else missing)


def _open(findings: Sequence[Finding], *, asked: bool) -> Answered:
    """No when everything passed, a scan among it; yes when something failed or was waived; unknown else."""
    blocking = [finding for finding in findings if finding.outcome is not Outcome.PASS]
    if any(_failed(finding) for finding in blocking):
        answer: Answer = "yes"
    elif asked and findings and not blocking:
        answer = "no"
    else:
        answer = "unknown"
    return _told("findings", blocking, answer, "" if asked else "no rule asks for a scan")


def _failed(finding: Finding) -> bool:
    # A waived finding is an exception: it did not pass, and people said that it may go out all the same.
    return finding.outcome in (Outcome.FAIL, Outcome.WAIVED)


def _told(name: str, findings: Sequence[Finding], answer: Answer, gap: str) -> Answered:
    ended = dict.fromkeys(f"{finding.rule} {finding.outcome.value}" for finding in findings)
    return Answered(
        id=name,
        question=QUESTIONS[name],
        answer=answer,
        why="; ".join((*ended, gap)) if gap else "; ".join(ended) or "every rule passed",
        rules=tuple(dict.fromkeys(finding.rule for finding in findings)),
        evidence=tuple(dict.fromkeys(digest for finding in findings for digest in finding.evidence)),
    )
