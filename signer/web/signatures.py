# SPDX-License-Identifier: Apache-2.0
"""POST /v1/signatures: ask for a signature; the answer is a receipt or a decision."""

from __future__ import annotations

import hashlib
import re

from flask import Blueprint, Response, request

from signer.custodian.commands import Decide, Idempotency
from signer.errors import Malformed
from signer.web.admission import caller, request_id
from signer.web.answers import answer_signature
from signer.web.application import Application
from signer.web.ending import warned
from signer.web.judging import Asked, ask_judge
from signer.web.problems import MEDIA_TYPE
from signer.web.resource import Answer, Resource
from signer.web.schemas import JudgementRequest, Loaded

IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def signatures(application: Application) -> Blueprint:
    """The resource of signatures."""
    resource = Resource("signatures", "Signatures, each recorded before a key is touched.")
    key = {
        "in": "header",
        "name": "Idempotency-Key",
        "description": "Repeats of one request under one key are answered once.",
        "schema": {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY.pattern}$"},
    }

    @resource.post(
        "/v1/signatures",
        Answer(schema={"type": "object"}, description="Signed: the receipt"),
        Answer(status=202, media_type=MEDIA_TYPE, schema={"type": "object"}, description="Waiting for approval"),
        body=JudgementRequest,
        headers=(key,),
    )
    def sign(asked: Loaded) -> Response:
        """Judge the evidence for these digests and sign when the policy allows."""
        idempotency = _idempotency()
        judged = ask_judge(
            application,
            Asked(action="sign", **asked),
            caller=caller(),
            request_id=request_id(),
            command=lambda judge: Decide(judge=judge, idempotency=idempotency),
        )
        answer = answer_signature(judged.reply, metrics=application.metrics)
        return warned(answer, judged.policy, now=application.clock())

    return resource.blueprint


def _idempotency() -> Idempotency | None:
    """The key and the raw body as digests; raises Malformed."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if IDEMPOTENCY_KEY.fullmatch(key) is None:
        raise Malformed(
            "invalid-idempotency-key",
            "an Idempotency-Key is 1 to 128 visible ASCII characters",
            remedy="use a random identifier, for example a UUID",
        )
    return Idempotency(
        key=hashlib.sha256(key.encode("ascii")).hexdigest(),
        body=hashlib.sha256(request.get_data(cache=True)).hexdigest(),
    )
