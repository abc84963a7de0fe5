# SPDX-License-Identifier: Apache-2.0
"""build.identity: who signs provenance is a workload, and its key lies in no person's hands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from policy.judgement import Judgement, failed, passed
from policy.rule import Case, RuleType
from policy.rules.build.provenance import no_trusted_provenance
from policy.schema import Section
from policy.trust import Builder, Trust
from policy.wording import listed


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityDemand:
    """build.identity has no parameters."""


def _read_identity(_section: Section, _trust: Trust) -> IdentityDemand:
    return IdentityDemand()


def _judge_identity(_demand: IdentityDemand, case: Case) -> Judgement:
    item = case.provenance
    builder = None if item is None else case.trust.builder_of(item)
    if item is None or builder is None:
        return no_trusted_provenance(case, case.trust.builders)
    signer = f"key {builder.key}" if builder.signer is None else f"identity {builder.key}"
    found = f"builder {builder.name} signs as a {builder.identity} with {signer}"
    faults = tuple(_faults(builder, case))
    return failed(listed(faults), [item], found=found) if faults else passed([item], found=found)


def _faults(builder: Builder, case: Case) -> Iterator[str]:
    if builder.identity != "workload":
        yield "the builder signs in the name of a person"
    # The access document knows the keys of people: what one of them holds is no builder's alone.
    if builder.signer is None and builder.key in case.ledger.personal_keys:
        yield f"the key {builder.key} is a person's approval key"


BUILD_IDENTITY = RuleType(
    code="build.identity",
    control="build",
    title="A builder that is nobody's identity",
    description=(
        "Whoever can sign as the builder can state any provenance. The security team says of each builder whether a "
        "workload or a person signs; the ledger knows the keys with which people approve, and none of them may be the "
        "builder's."
    ),
    success="was built under an identity that no person holds",
    failure="needs a builder identity that no person holds",
    remedy="the security team gives the builder a key or an identity of its own and activates it: "
    "signer policy activate",
    supply="the pipeline's owner attaches the builder's provenance of this digest: signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest, by a trusted builder, attested only; and the approval "
    "keys of the access document in force.",
    parameters=(),
    example="{id: BLD-3, type: build.identity, control: build, level: minimum}",
    needs_provenance=True,
    read=_read_identity,
    require=lambda _: "a builder that signs as a workload, with a key that is no person's approval key",
    judge=_judge_identity,
)
