# SPDX-License-Identifier: Apache-2.0
"""The findings document: the verdict and every finding, canonical JSON named by the decision leaf.

{"findings":[{"bound":"subject","control":"build","evidence":["…"],"found":"…","level":"minimum",
  "outcome":"pass","remedy":"…","required":"…","rule":"BLD-1","subjects":[0],"title":"…",
  "type":"build.provenance"}],"verdict":"allow"}

A finding that was set aside (waived, in shadow) also says `would`: how the rule ended all the same. `offenders` and
`waived_by` stand where there are any.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

import msgspec

from policy.decision import Decision, Finding, Offender, Outcome, Verdict, WaiverUse
from signer.errors import Malformed
from signer.formats.canonical import canonical

MAX_FINDINGS = 64 * 1024 * 1024


class _Finding(TypedDict):
    rule: str
    type: str
    control: str
    level: str
    outcome: Outcome
    title: str
    required: str
    found: str
    evidence: tuple[str, ...]
    bound: str
    remedy: str
    subjects: tuple[int, ...]
    would: NotRequired[Outcome]
    offenders: NotRequired[tuple[Offender, ...]]
    waived_by: NotRequired[tuple[WaiverUse, ...]]


class _Document(TypedDict):
    verdict: Verdict
    findings: tuple[_Finding, ...]


_decoder = msgspec.json.Decoder(_Document)


def encode_findings(decision: Decision) -> bytes:
    """The canonical bytes of the verdict and its findings."""
    return canonical({"verdict": decision.verdict.value, "findings": finding_objects(decision.findings)})


def decode_decision(data: bytes) -> Decision:
    """Read a findings document; raises Malformed unless `data` is exactly what `encode_findings` writes."""
    if len(data) > MAX_FINDINGS:
        raise Malformed("too-large", f"a findings document is at most {MAX_FINDINGS} bytes")
    try:
        document = _decoder.decode(data)
        decision = Decision(
            verdict=document["verdict"], findings=tuple(Finding(**each) for each in document["findings"])
        )
        exact = encode_findings(decision) == data
    except (ValueError, RecursionError) as fault:
        raise Malformed("malformed-findings", f"not a findings document: {str(fault)[:200]}") from None
    if not exact:
        raise Malformed("malformed-findings", "the findings document is not in its canonical form")
    return decision


def decode_findings(data: bytes) -> tuple[Finding, ...]:
    """The findings alone, in the policy's order; raises Malformed."""
    return decode_decision(data).findings


def finding_objects(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """Findings as JSON objects, to stand inside another document."""
    objects: list[dict[str, Any]] = msgspec.to_builtins([finding._asdict() for finding in findings])
    for each in objects:
        # Left out where they say nothing, so that documents from before they existed read the same.
        for name in ("would", "offenders", "waived_by"):
            if not each[name]:
                del each[name]
    return objects
