# SPDX-License-Identifier: Apache-2.0
"""sbom.licences: the licences of all components are accepted ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from policy.artifact_facts import Licence
from policy.decision import Offender
from policy.facts import EvidenceFacts, Sbom
from policy.judgement import Judgement, failed, passed, unknown, worst
from policy.licence import LicenceError, satisfied
from policy.rule import Case, Parameter, RuleType, latest
from policy.rules.artifact.sbom import LATEST_PRODUCERS, read_producers, trusted_sboms
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust
from policy.wording import listed, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceDemand:
    """Parameters of sbom.licences."""

    producers: tuple[str, ...]
    allow: tuple[str, ...]
    """Empty: whatever is not denied."""
    deny: tuple[str, ...]

    def accepts(self, licence: str, exception: str | None) -> bool:
        """Whether one licence, with or without an exception, is accepted; an exception only permits more."""
        names = {licence, licence.removesuffix("+"), f"{licence} WITH {exception}"}
        denied = f"{licence} WITH {exception}" not in self.allow and bool(names & set(self.deny))
        return not denied and (not self.allow or bool(names & set(self.allow)))


def _read_licences(section: Section, trust: Trust) -> LicenceDemand:
    demand = LicenceDemand(
        producers=read_producers(section, trust),
        allow=section.words("allow") if section.has("allow") else (),
        deny=section.words("deny") if section.has("deny") else (),
    )
    if not demand.allow and not demand.deny:
        raise section.refuse("allow", "nothing is demanded", remedy="add allow, deny or both, lists of SPDX ids")
    return demand


def _require_licences(demand: LicenceDemand) -> str:
    parts = [f"the latest SBOM by {' or '.join(demand.producers)}: every component's licence is known"]
    if demand.allow:
        parts.append(f"one of {', '.join(demand.allow)}")
    if demand.deny:
        parts.append(f"none of {', '.join(demand.deny)}")
    return "; ".join(parts)


def _judge_licences(demand: LicenceDemand, case: Case) -> Judgement:
    trusted = trusted_sboms(demand.producers, case)
    if isinstance(trusted, Judgement):
        return trusted
    return worst(_judge_one(demand, item) for item in latest(trusted))


def _judge_one(demand: LicenceDemand, item: Sbom) -> Judgement:
    found = f"{item.format} with {item.components} components, {len(item.licences)} different licences"
    refused, unread = [], []
    for licence in item.licences:
        try:
            if licence.expression is None:
                unread.append(licence)
            elif not satisfied(licence.expression, demand.accepts):
                refused.append(licence)
        except LicenceError:
            unread.append(licence)
    silent = max(item.components, 1) - sum([licence.components for licence in item.licences])
    if refused:
        return failed(
            f"licences outside the list: {listed(map(_told, refused))}",
            [item],
            found=found,
            offenders=_offenders((*refused, *unread), silent),
        )
    if unread or silent > 0:
        told = listed(map(_told, unread)) or "the SBOM states none for some components"
        return unknown(
            f"not every component's licence is known ({told})",
            [item],
            found=found,
            bound="subject",
            offenders=_offenders(unread, silent),
        )
    return passed([item], found=found)


def _effort(_demand: LicenceDemand, evidence: EvidenceFacts) -> int:
    return 1 + sum([1 + len(licence.expression or "") // 16 for item in evidence.sboms for licence in item.licences])


def _told(licence: Licence) -> str:
    name = "no known licence" if licence.expression is None else quote(licence.expression)
    return f"{name} of {licence.components} components such as {quote(licence.example)}"


def _offenders(licences: Iterable[Licence], silent: int) -> tuple[Offender, ...]:
    """Each licence, and the components of which the SBOM says nothing: a waiver for the rest must not hide them."""
    return (
        *(Offender(id=licence.expression or "unknown", package=licence.example) for licence in licences),
        *((Offender(id=f"{silent} components without a licence"),) if silent > 0 else ()),
    )


LICENCES = RuleType(
    code="sbom.licences",
    control="artifact",
    title="Licences of all components accepted",
    description=(
        "What may be shipped is a matter of its components' licences. An expression with OR is accepted when one side "
        "is, with AND when both are, and an exception (WITH) permits more than its licence. A licence that nobody "
        "stated, or that is not written in SPDX ids, is not known to be harmless. Among the SBOMs of accepted "
        "producers the one received last decides."
    ),
    success="has accepted licences only",
    failure="needs accepted licences only",
    remedy="the developer replaces the component, or its licence is cleared and the SBOM states it: "
    "signer sign --evidence SBOM",
    supply="the build job attaches an SBOM that states the licence of each component: signer evidence add SBOM",
    evidence="SPDX (concluded, else declared licence) or CycloneDX (`licenses`) whose subject is the digest, by an "
    "accepted producer; attested only.",
    parameters=(
        LATEST_PRODUCERS,
        Parameter(
            name="allow",
            sense=Sense(kind=Kind.ACCEPTS),
            kind="list of SPDX ids",
            required=False,
            meaning="the accepted licences, also `ID WITH EXCEPTION`; without it, every one that `deny` does not name",
        ),
        Parameter(
            name="deny",
            sense=Sense(kind=Kind.DEMANDS, absent=()),
            kind="list of SPDX ids",
            required=False,
            meaning="licences that are refused even where `allow` would take them",
        ),
    ),
    example="{id: LIC-1, type: sbom.licences, control: artifact, level: better, "
    "deny: [AGPL-3.0-only, AGPL-3.0-or-later, SSPL-1.0]}",
    needs_provenance=False,
    read=_read_licences,
    require=_require_licences,
    judge=_judge_licences,
    effort=_effort,
)
