# SPDX-License-Identifier: Apache-2.0
"""Which reader a verified statement's predicate type has: one row for each kind of claim that is understood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from policy.trust import Accept
from signer.formats import (
    artifact_signature,
    cosign_vuln,
    cyclonedx,
    gittuf,
    openvex,
    provenance,
    provenance_v02,
    review_record,
    source_vsa,
    spdx,
    test_result,
    vulns,
)
from signer.formats.artifact_signature import DigestSigned
from signer.formats.cyclonedx import CycloneDxDocument
from signer.formats.gittuf import TreeApprovals
from signer.formats.openvex import VexDocument
from signer.formats.provenance import Provenance
from signer.formats.review_record import ReviewRecord
from signer.formats.source_vsa import SourceVsa
from signer.formats.spdx import SpdxDocument
from signer.formats.statement import Statement
from signer.formats.test_result import TestReport
from signer.formats.vulns import ScanReport

Predicate: TypeAlias = (
    Provenance
    | SourceVsa
    | ReviewRecord
    | TreeApprovals
    | TestReport
    | ScanReport
    | SpdxDocument
    | CycloneDxDocument
    | VexDocument
    | DigestSigned
)


def read_predicate(statement: Statement, accept: Accept) -> Predicate | None:
    """Read the claim; None when its type is not understood or, for an older one, not accepted; raises Malformed."""
    if statement.predicate_type == provenance_v02.PREDICATE_TYPE and not accept.provenance:
        return None
    read = next((read for understood, read in _READERS if understood(statement)), None)
    return None if read is None else read(statement)


def _exactly(predicate_type: str) -> Callable[[Statement], bool]:
    return lambda statement: statement.predicate_type == predicate_type


_READERS: Final[tuple[tuple[Callable[[Statement], bool], Callable[[Statement], Predicate | None]], ...]] = (
    (_exactly(provenance.PREDICATE_TYPE), lambda claim: provenance.read_provenance(claim.predicate)),
    (_exactly(provenance_v02.PREDICATE_TYPE), lambda claim: provenance_v02.read_provenance_v02(claim.predicate)),
    (_exactly(vulns.PREDICATE_TYPE), lambda claim: vulns.read_scan(claim.predicate)),
    (_exactly(cosign_vuln.PREDICATE_TYPE), lambda claim: cosign_vuln.read_cosign_scan(claim.predicate)),
    (_exactly(test_result.PREDICATE_TYPE), lambda claim: test_result.read_test_report(claim.predicate)),
    (
        lambda claim: spdx.is_spdx(claim.predicate_type),
        lambda claim: spdx.read_spdx(claim.predicate_type, claim.predicate),
    ),
    (
        lambda claim: cyclonedx.is_cyclonedx(claim.predicate_type),
        lambda claim: cyclonedx.read_cyclonedx(claim.predicate_type, claim.predicate),
    ),
    (lambda claim: openvex.is_openvex(claim.predicate_type), lambda claim: openvex.read_openvex(claim.predicate)),
    (_exactly(artifact_signature.PREDICATE_TYPE), lambda _: DigestSigned()),
    (source_vsa.is_source_vsa, source_vsa.read_source_vsa),
    (review_record.is_review_record, review_record.read_review_record),
    (_exactly(gittuf.PREDICATE_TYPE), gittuf.read_tree_approvals),
)
