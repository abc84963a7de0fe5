# SPDX-License-Identifier: Apache-2.0
"""The signatures in a pack: each of a format is verified by the rules of that format, under a key of its purpose."""

from __future__ import annotations

from policy.outputs import VSA
from signer.domain.subject import Subject
from signer.errors import Refused
from signer.formats.canonical import sha256_hex
from signer.formats.rfc3339 import parse_time
from signer.formats.trust import TrustDocument
from signer.ledger.leaves import Decision, SignatureEntry
from signer.releases.contents import Contents
from signer.verify.bundle import Expectation, verify_bundle
from signer.verify.checks import Checklist
from signer.verify.outputs import check_signatures, optional_of


def check_released(contents: Contents, trust: TrustDocument, checks: Checklist) -> None:
    """Every released signature, under a key that was valid when it signed."""
    with checks.check("every signature holds", code="signature-invalid") as check:
        count = 0
        for index, leaf in contents.decisions():
            ended = contents.outcome(index)
            released = [] if ended is None else [each for each in ended[1].signatures if each.bundle is not None]
            for entry in released:
                if entry.format == VSA:
                    _statement(contents, leaf, entry, trust)
            others = [(each, contents.read(each.bundle or "")) for each in released if each.format != VSA]
            check_signatures(
                check,
                others,
                document=contents.read,
                optional=optional_of(
                    trust, environment=leaf.environment, policy=leaf.policy.name, request=leaf.request
                ),
                trust=trust,
                subjects=contents.subjects(leaf),
                time=parse_time(leaf.time, what="time of the decision"),
            )
            count += len(released)
        check.found = f"{count} signatures"


def _statement(contents: Contents, leaf: Decision, entry: SignatureEntry, trust: TrustDocument) -> None:
    data = contents.read(entry.bundle or "")
    subjects = tuple(Subject.of(name, {"sha256": sha256}) for name, sha256 in contents.subjects(leaf))
    expect = Expectation(subjects=subjects, policy=leaf.policy.name, environment=leaf.environment)
    bundle = verify_bundle(data, trust=trust, expect=expect, checks=Checklist())
    said = (sha256_hex(bundle.payload), bundle.key.kid, bundle.request_id)
    if said != (entry.payload, entry.kid, leaf.request):
        raise Refused("outcome-mismatch", f"the outcome of request {leaf.request} names another signature")
