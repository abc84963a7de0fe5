# SPDX-License-Identifier: Apache-2.0
"""/v1/evidence: verify and keep an attestation or an opaque document; serve it again by its digest."""

from __future__ import annotations

import re

from flask import Blueprint, Response

from signer.custodian.commands import EvidenceItem, KeepEvidence
from signer.errors import Malformed
from signer.evidence.verifier import Evidence, UnverifiedAttestation
from signer.formats.canonical import canonical
from signer.web.admission import Caller, caller, out_of_reach, request_id
from signer.web.answers import JSON, kept
from signer.web.application import Application
from signer.web.documents import PolicyInForce
from signer.web.judging import evidence_item, verify
from signer.web.offer import Offered
from signer.web.resource import Answer, Resource
from signer.web.schemas import EvidenceRequest, Loaded

_SHA256 = re.compile(r"[0-9a-f]{64}")


def evidence(application: Application) -> Blueprint:
    """The resource of evidence."""
    resource = Resource("evidence", "Evidence that the ledger keeps, found again by the digests it speaks of.")

    @resource.post(
        "/v1/evidence",
        Answer(status=201, schema={"type": "object"}, description="Kept: digest and leaf of each item"),
        body=EvidenceRequest,
    )
    def keep(offer: Loaded) -> Response:
        """Verify evidence under the trust of one policy and keep it."""
        asking = caller()
        in_force = _authorise(application, offer["policy"], asking)
        items = tuple(_accept(application, offered, in_force) for offered in offer["evidence"])
        quota = asking.access.quota(asking.principal)
        application.quotas.take_evidence(asking.principal, quota, sum(len(item.data) for item in items))
        reply = application.custodian.ask(
            KeepEvidence(request_id=request_id(), principal=asking.principal.id, policy=offer["policy"], items=items)
        )
        leaves = [{"digest": digest, "leaf": leaf} for digest, leaf in kept(reply).leaves]
        return Response(canonical({"evidence": leaves}), status=201, mimetype=JSON)

    @resource.get(
        "/v1/evidence/<string:sha256>",
        Answer(media_type="application/octet-stream", description="The exact bytes, under the type they came with"),
    )
    def fetch(sha256: str) -> Response:
        """Serve kept evidence, byte for byte."""
        held = application.reader.evidence(sha256) if _SHA256.fullmatch(sha256) else None
        asking = caller()
        if held is None or not (held.principal == asking.principal.id or asking.allows("read", policy=held.policy)):
            raise out_of_reach()
        document = application.reader.document(sha256)
        if document is None:
            raise out_of_reach()
        response = Response(document.data, mimetype=document.media_type)
        # Its submitter chose bytes and type: whatever they are, a browser renders nothing of it here.
        response.headers["Content-Disposition"] = f'attachment; filename="{sha256}"'
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        return response

    return resource.blueprint


def _authorise(application: Application, policy: str, asking: Caller) -> PolicyInForce:
    if asking.allows("evidence", policy=policy):
        in_force = application.documents.policy(policy)
        if in_force is not None:
            return in_force
    raise out_of_reach()


def _accept(application: Application, offered: Offered, in_force: PolicyInForce) -> EvidenceItem:
    """Evidence that may be kept; raises Malformed for what does not verify, since nothing says what it speaks of."""
    try:
        item: Evidence = offered.document or verify(application, offered.data, offered.digest, in_force)
    except Malformed as fault:
        application.metrics.evidence_rejected.labels(fault.code).inc()
        raise
    if isinstance(item, UnverifiedAttestation):
        application.metrics.evidence_rejected.labels("evidence-unverified").inc()
        raise Malformed(
            "evidence-unverified",
            f"no key that the policy {in_force.policy.name} trusts signed the evidence sha256:{offered.digest}",
            remedy="sign it with a key listed in the policy's trust, or name the policy that trusts its key",
        )
    return evidence_item(offered, item)
