# SPDX-License-Identifier: Apache-2.0
"""/v1/evidence: verify and keep an attestation or an opaque document; serve it again by its digest."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from flask import Blueprint, Response

from signer.custodian.commands import EvidenceItem, KeepEvidence, SpooledItem
from signer.domain.spooled import LARGE
from signer.errors import Malformed
from signer.evidence.verifier import MAX_ATTESTATION, Evidence, UnverifiedAttestation
from signer.formats.canonical import canonical
from signer.ledger.rows import IndexedEvidence
from signer.web.admission import Caller, caller, out_of_reach, request_id
from signer.web.answers import JSON, kept
from signer.web.application import Application
from signer.web.considered import evidence_item, require_store, spooled_item, verify
from signer.web.documents import PolicyInForce
from signer.web.offer import Offered, Uploaded
from signer.web.resource import Answer, Resource
from signer.web.schemas import EvidenceRequest, Loaded
from signer.web.uploads import SLOWEST, require_spool

FIRST_SECONDS = 30.0
"""How long a peer may take for a large document before its rate counts."""

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
        items = tuple(_accept(application, each, in_force, asking) for each in offer["evidence"])
        quota = asking.access.quota(asking.principal)
        application.quotas.take_evidence(asking.principal, quota, sum(map(_size, items)))
        reply = application.custodian.ask(
            KeepEvidence(request_id=request_id(), principal=asking.principal.id, policy=offer["policy"], items=items)
        )
        leaves = [{"digest": digest, "leaf": leaf} for digest, leaf in kept(reply).leaves]
        for each in offer["evidence"]:
            if isinstance(each, Uploaded):
                require_spool(application).remove(asking.principal, each.digest)
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
        if held.size > LARGE:
            response = _streamed(application, held)
        else:
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


def _accept(
    application: Application, each: Offered | Uploaded, in_force: PolicyInForce, asking: Caller
) -> EvidenceItem | SpooledItem:
    """Evidence that may be kept; raises Malformed for what does not verify, since nothing says what it speaks of."""
    offered = each if isinstance(each, Offered) else _brought(application, each, asking)
    try:
        item: Evidence = each.document or verify(application, offered.data, offered.digest, in_force)
    except Malformed as fault:
        application.metrics.evidence_rejected.labels(fault.code).inc()
        raise
    if isinstance(item, UnverifiedAttestation):
        application.metrics.evidence_rejected.labels("evidence-unverified").inc()
        raise Malformed(
            "evidence-unverified",
            f"no key that the policy {in_force.policy.name} trusts signed the evidence sha256:{each.digest}",
            remedy="sign it with a key listed in the policy's trust, or name the policy that trusts its key",
        )
    if isinstance(each, Uploaded):
        size = require_spool(application).size(asking.principal, each.digest)
        if size > LARGE:
            return spooled_item(each.digest, size, item)
    return evidence_item(offered, item)


def _brought(application: Application, each: Uploaded, asking: Caller) -> Offered:
    """An upload as if it had come with the request; without its bytes when it is a large document nobody reads."""
    spool = require_spool(application)
    size = spool.size(asking.principal, each.digest)
    if each.document is not None and size > LARGE:
        return Offered(digest=each.digest, data=b"", document=each.document)
    if size > MAX_ATTESTATION:
        raise Malformed("too-large", f"an attestation is at most {MAX_ATTESTATION} bytes", remedy="attest in parts")
    return Offered(digest=each.digest, data=spool.read(asking.principal, each.digest), document=each.document)


def _size(item: EvidenceItem | SpooledItem) -> int:
    return item.size if isinstance(item, SpooledItem) else len(item.data)


def _streamed(application: Application, held: IndexedEvidence) -> Response:
    """A large document piece by piece; a peer that takes it too slowly is left."""
    store = require_store(application)
    size, end = store.size(held.digest), time.monotonic() + FIRST_SECONDS

    def pieces() -> Iterator[bytes]:
        sent = 0
        for piece in store.stream(held.digest):
            yield piece
            sent += len(piece)
            if time.monotonic() > end + sent / SLOWEST:
                # The length was told: a body that ends early is not taken for whole.
                return

    response = Response(pieces(), mimetype=held.media_type, direct_passthrough=True)
    response.headers["Content-Length"] = str(size)
    return response
