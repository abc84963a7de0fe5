# SPDX-License-Identifier: Apache-2.0
"""POST /v1/checks: the same judgement with no leaf and no key."""

from __future__ import annotations

from flask import Blueprint, Response

from signer.custodian.commands import Check
from signer.web.admission import caller, request_id
from signer.web.answers import answer_check
from signer.web.application import Application
from signer.web.ending import warned
from signer.web.judging import Asked, ask_judge
from signer.web.problems import MEDIA_TYPE
from signer.web.resource import Answer, Resource
from signer.web.schemas import JudgementRequest, Loaded


def checks(application: Application) -> Blueprint:
    """The resource of checks."""
    resource = Resource("checks", "What a request for a signature would be answered now; nothing is recorded.")

    @resource.post(
        "/v1/checks",
        Answer(schema={"type": "object"}, description="Allowed: the decision document"),
        Answer(status=202, media_type=MEDIA_TYPE, schema={"type": "object"}, description="Waiting for approval"),
        body=JudgementRequest,
    )
    def check(asked: Loaded) -> Response:
        """Judge the evidence for these digests and say what is satisfied and what is still needed."""
        judged = ask_judge(
            application,
            Asked(action="check", **asked),
            caller=caller(),
            request_id=request_id(),
            command=lambda judge: Check(judge=judge),
        )
        answer = answer_check(judged.reply, request_id=request_id())
        return warned(answer, judged.policy, now=application.clock())

    return resource.blueprint
