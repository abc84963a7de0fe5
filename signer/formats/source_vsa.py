# SPDX-License-Identifier: Apache-2.0
"""Source VSA (SLSA 1.2 source track, spec/verifying-source.md): what the source platform enforced for a commit.

{"_type":"https://in-toto.io/Statement/v1",
 "subject":[{"digest":{"gitCommit":"51c0…"},"annotations":{"sourceRefs":["refs/heads/main"]}}],
 "predicateType":"https://slsa.dev/verification_summary/v1",
 "predicate":{"verifier":{"id":"https://source.example"},"timeVerified":"2026-11-23T08:00:00Z",
   "resourceUri":"git+https://github.com/acme/shop","policy":{"uri":"https://source.example/policy"},
   "verificationResult":"PASSED","verifiedLevels":["SLSA_SOURCE_LEVEL_3"],"slsaVersion":"1.2"}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from signer.errors import Malformed
from signer.formats.shape import require_visible
from signer.formats.source_uri import parse_ref, parse_source_uri
from signer.formats.statement import Statement
from signer.formats.vsa import PREDICATE_TYPE, read_vsa

MAX_REFS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceVsa:
    """A summary of one repository: the refs that each of its commits was verified on."""

    verifier: str
    repository: str
    commits: Mapping[str, tuple[str, ...]]
    result: str
    levels: tuple[str, ...]
    verified: datetime | None


def is_source_vsa(statement: Statement) -> bool:
    """Whether the statement is a verification summary of commits (and not of artifacts)."""
    return statement.predicate_type == PREDICATE_TYPE and any(
        subject.commit is not None for subject in statement.subjects
    )


def read_source_vsa(statement: Statement) -> SourceVsa:
    """Read a verified statement; raises Malformed."""
    summary = read_vsa(statement)
    commits: dict[str, tuple[str, ...]] = {}
    for subject in statement.subjects:
        if subject.commit is None:
            raise Malformed("evidence-invalid", "a source VSA speaks of commits only")
        commits[subject.commit] = _refs(subject.annotations)
    return SourceVsa(
        verifier=require_visible(summary.verifier, what="verifier id"),
        repository=parse_source_uri(summary.resource_uri).repository,
        commits=commits,
        result=summary.result,
        levels=tuple(require_visible(level, what="verified level") for level in summary.levels),
        verified=summary.time,
    )


def _refs(annotations: Mapping[str, Any]) -> tuple[str, ...]:
    """`sourceRefs` of the standard, `source_refs` of its reference tool."""
    refs = annotations.get("sourceRefs", annotations.get("source_refs", []))
    if not isinstance(refs, list) or len(refs) > MAX_REFS or not all(isinstance(ref, str) for ref in refs):
        raise Malformed("evidence-invalid", "sourceRefs of the source VSA is not a short list of refs")
    return tuple(sorted({parse_ref(ref) for ref in refs}))
