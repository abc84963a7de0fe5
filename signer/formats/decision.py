# SPDX-License-Identifier: Apache-2.0
"""The decision document, which answers carry and `GET /v1/decisions/{id}` serves; and the subjects document.

    {"access":"<sha256>","answers":"<sha256>","environment":"release","findings":[…],"leaf":7,
     "matrix":{"build":"minimum",…},"policy":{"digest":"<sha256>","name":"demo","version":1},"principal":"robot:ci",
     "questions":[{"answer":"yes","good":true,"id":"digest","question":"…","rules":[…],"why":"…"}],"request_id":"…",
     "subjects":[{"digest":{"sha256":"…"},"name":"…"}],"time":"2026-11-23T10:00:00.000001Z",
     "type":"signing-authority/decision/v1","verdict":"deny"}

`leaf` is null for a check, which is not recorded. `questions` are the six approval questions, answered from the
findings; `answers` is the digest of the answers, which an approver signs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from policy.decision import Finding, Verdict
from signer.domain.subject import Subject
from signer.formats.canonical import canonical
from signer.formats.findings import finding_objects
from signer.formats.rfc3339 import format_time

TYPE = "signing-authority/decision/v1"


def decision_document(
    *,
    request_id: str,
    time: datetime,
    verdict: Verdict,
    policy: tuple[str, int, str],
    access: str,
    environment: str,
    principal: str,
    subjects: Sequence[Subject],
    findings: Sequence[Finding],
    matrix: Mapping[str, str | None],
    questions: Sequence[Mapping[str, Any]],
    answers: str,
    leaf: int | None,
) -> bytes:
    """Canonical JSON of one decision; `policy` is (name, version, digest), `access` a digest."""
    name, version, digest = policy
    return canonical(
        {
            "type": TYPE,
            "request_id": request_id,
            "time": format_time(time),
            "verdict": verdict.value,
            "policy": {"name": name, "version": version, "digest": digest},
            "access": access,
            "environment": environment,
            "principal": principal,
            "subjects": subject_objects(subjects),
            "findings": finding_objects(tuple(findings)),
            "matrix": dict(matrix),
            "questions": [dict(question) for question in questions],
            "answers": answers,
            "leaf": leaf,
        }
    )


def subjects_document(subjects: Sequence[Subject]) -> bytes:
    """Canonical JSON of the requested subjects: {"subjects": [{"digest": {…}, "name": …}]}."""
    return canonical({"subjects": subject_objects(subjects)})


def subject_objects(subjects: Sequence[Subject]) -> list[dict[str, Any]]:
    """Subjects as in-toto resource descriptors with a name and a digest set."""
    return [
        {"name": subject.name, "digest": {digest.algorithm: digest.value for digest in subject.digests}}
        for subject in subjects
    ]
