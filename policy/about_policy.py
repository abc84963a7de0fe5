# SPDX-License-Identifier: Apache-2.0
"""Findings of the rule POLICY: what no rule of a document can say about the document and the request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from policy.decision import Finding, Outcome
from policy.document import POLICY_RULE, Policy
from policy.facts import Facts
from policy.wording import moment, quote


def about_the_policy(policy: Policy, facts: Facts, now: datetime) -> Iterable[Finding]:
    """Findings of their own for what no rule of the document can say."""
    if policy.expires is not None and now >= policy.expires:
        yield _finding(
            facts,
            "policy.current",
            title=f"the policy {policy.name} expired",
            required=f"a judged instant before {moment(policy.expires)}",
            found=f"judged at {moment(now)}",
            remedy=f"{policy.owner} reviews the policy and the owners activate a new version: signer policy activate",
        )
    if facts.request.policy != policy.name:
        yield _finding(
            facts,
            "policy.requested",
            title="the request names another policy",
            required=f"policy {policy.name}",
            found=f"policy {quote(facts.request.policy)}",
            remedy=f"the pipeline's owner names the policy: signer sign --policy {policy.name}",
        )
    if facts.request.environment not in policy.environments:
        yield _finding(
            facts,
            "policy.environment",
            title=f"the policy {policy.name} knows no such environment",
            required=f"one of {', '.join(policy.environments)}",
            found=f"environment {quote(facts.request.environment)}",
            remedy="the pipeline's owner names an environment of the policy: signer sign --environment NAME",
        )
    if not facts.request.subjects:
        yield _finding(
            facts,
            "policy.subjects",
            title="the request names no subject",
            required="at least one subject",
            found="none",
            remedy="the pipeline's owner names what is to be signed: signer sign --subject NAME@sha256:HEX",
        )


def over_budget(policy: Policy, facts: Facts, *, work: int, most: int) -> Finding:
    """Judging would take longer than a request may keep the judge: nothing is judged, and so nothing is allowed."""
    return _finding(
        facts,
        "policy.budget",
        title=f"there is too much to judge under the policy {policy.name}",
        required=f"at most {most} units of work: rules, for each group of subjects, for each provenance, by size",
        found=f"{work} units",
        remedy="the pipeline's owner asks for fewer subjects at a time, and attaches no evidence twice: "
        "signer sign --subject NAME@sha256:HEX",
    )


def _finding(facts: Facts, kind: str, *, title: str, required: str, found: str, remedy: str) -> Finding:
    return Finding(
        rule=POLICY_RULE,
        type=kind,
        control="deployment",
        level="minimum",
        outcome=Outcome.FAIL,
        title=title,
        required=required,
        found=found,
        evidence=(),
        bound="none",
        remedy=remedy,
        subjects=tuple(range(len(facts.request.subjects))),
    )
