# SPDX-License-Identifier: Apache-2.0
"""build.secrets: no secret lay within reach of the build but those that the policy names."""

from __future__ import annotations

from dataclasses import dataclass

from policy.judgement import Judgement, failed, passed, unknown
from policy.rule import Case, Parameter, RuleType
from policy.rules.build.provenance import no_trusted_provenance
from policy.schema import Section
from policy.sense import Kind, Sense
from policy.trust import Trust
from policy.wording import listed, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsDemand:
    """Parameters of build.secrets."""

    allow: tuple[str, ...]


def _read_secrets(section: Section, _: Trust) -> SecretsDemand:
    inner = section.section("secrets")
    allow = inner.words("allow", empty=True)
    inner.close()
    return SecretsDemand(allow=allow)


def _judge_secrets(demand: SecretsDemand, case: Case) -> Judgement:
    item = case.provenance
    if item is None:
        return no_trusted_provenance(case, case.trust.builders)
    if item.secrets is None:
        return unknown(
            "the provenance does not say which secrets the build could reach",
            [item],
            found=f"provenance by {item.builder}",
            bound="subject",
        )
    found = f"secrets in reach of the build: {listed(map(quote, item.secrets)) or 'none'}"
    foreign = [name for name in item.secrets if name not in demand.allow]
    if foreign:
        return failed(f"secrets outside the list: {listed(map(quote, foreign))}", [item], found=found)
    return passed([item], found=found)


SECRETS = RuleType(
    code="build.secrets",
    control="build",
    title="Few secrets in the build",
    description=(
        "Whatever a build step can read, a dependency that runs in it can read and send away. The builder states the "
        "names of all secrets that the build could reach; the list of accepted ones is exhaustive."
    ),
    success="was built with no more secrets than allowed",
    failure="needs a build with fewer secrets",
    remedy="the pipeline's owner takes the secrets out of the build job, or into a job of their own, and builds again: "
    "signer sign --evidence PROVENANCE",
    supply="the pipeline's owner attaches provenance that lists the secrets: signer evidence add PROVENANCE",
    evidence="SLSA provenance v1 whose subject is the digest, by a trusted builder, with `authority_secrets`, a list "
    "of names, among its internal parameters; attested only. SLSA provenance v0.2 cannot say it, so the rule ends "
    "unknown.",
    parameters=(
        Parameter(
            name="secrets.allow",
            sense=Sense(kind=Kind.ACCEPTS),
            kind="list of names",
            required=True,
            meaning="every secret that the build may reach, by its name; `[]` means none",
        ),
    ),
    example="{id: BLD-7, type: build.secrets, control: build, level: strong, secrets: {allow: []}}",
    needs_provenance=True,
    read=_read_secrets,
    require=lambda demand: (
        f"no secret in reach of the build but {', '.join(map(quote, demand.allow))}"
        if demand.allow
        else "no secret in reach of the build"
    ),
    judge=_judge_secrets,
)
