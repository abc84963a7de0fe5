# SPDX-License-Identifier: Apache-2.0
"""The facts document: everything a decision rested on, canonical JSON named by the decision leaf.

    {"evidence":{"documents":[],"provenance":[{"build_type":"…","builder":"demo-builder",…}],…},
     "ledger":{"access_digest":"…","policy_digest":"…"},"request":{"environment":"release",…}}

Field names are those of `policy.facts`. Replay decodes it and judges again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from policy.facts import EvidenceFacts, Facts
from signer.errors import Malformed
from signer.formats.canonical import canonical

MAX_FACTS = 64 * 1024 * 1024
_decoder = msgspec.json.Decoder(Facts)


def encode_facts(facts: Facts) -> bytes:
    """The canonical bytes of `facts`; raises ValueError for a time that is not in UTC."""
    _require_utc(facts.evidence)
    return canonical(msgspec.to_builtins(facts))


def decode_facts(data: bytes) -> Facts:
    """Read a facts document; raises Malformed unless `data` is exactly what `encode_facts` writes."""
    if len(data) > MAX_FACTS:
        raise Malformed("too-large", f"a facts document is at most {MAX_FACTS} bytes")
    try:
        facts = _decoder.decode(data)
        # One spelling per document: this refuses unknown fields, double keys and other byte forms at once.
        exact = encode_facts(facts) == data
    except (ValueError, RecursionError) as fault:
        raise Malformed("malformed-facts", f"not a facts document: {str(fault)[:200]}") from None
    if not exact:
        raise Malformed("malformed-facts", "the facts document is not in its canonical form")
    return facts


def _require_utc(evidence: EvidenceFacts) -> None:
    times: list[datetime | None] = []
    for provenance in evidence.provenance:
        times += provenance.started, provenance.finished
    times += (source.verified for source in evidence.sources)
    for scan in evidence.scans:
        times += scan.database_updated, scan.finished
    if any(time is not None and time.utcoffset() != timedelta(0) for time in times):
        raise ValueError("a time in the facts is not in UTC")
