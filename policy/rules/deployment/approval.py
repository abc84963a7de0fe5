# SPDX-License-Identifier: Apache-2.0
"""approval.human and approval.checklist: people outside the change say yes to this very digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from policy.decision import Outcome
from policy.judgement import Judgement, failed, unknown
from policy.ledger_facts import Approval
from policy.questions import answers, digest_of
from policy.release import held_by
from policy.rule import Case, Parameter, Rule, RuleType
from policy.schema import NAME, Section
from policy.sense import Kind, Sense
from policy.separation import UNMAPPED, excluded, unfilled, unnamed
from policy.trust import Trust
from policy.wording import listed, moment, quote, span

MAX_COUNT: Final = 10
"""How many approvals a group may owe at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDemand:
    """Parameters of approval.human and approval.checklist."""

    groups: Mapping[str, int]
    ttl: timedelta
    signed: bool
    checklist: tuple[str, ...] = ()
    """Ids of the rules that must have passed; empty for approval.human."""


def _read_human(section: Section, _: Trust) -> ApprovalDemand:
    return ApprovalDemand(groups=_groups(section), ttl=_ttl(section), signed=section.boolean("signed", default=False))


def _read_checklist(section: Section, _: Trust) -> ApprovalDemand:
    return ApprovalDemand(groups=_groups(section), ttl=_ttl(section), signed=True, checklist=section.words("checklist"))


def _groups(section: Section) -> Mapping[str, int]:
    inner = section.section("groups")
    groups: dict[str, int] = {}
    for name in inner.names():
        count = inner.integer(name, least=1)
        if NAME.fullmatch(name) is None or count > MAX_COUNT:
            raise section.refuse(
                "groups",
                "must map names of groups to counts",
                remedy=f"for example {{sre: 1}}, at most {MAX_COUNT} each",
            )
        groups[name] = count
    if not groups:
        raise section.refuse("groups", "asks nobody", remedy="for example {release-managers: 1, sre: 1}")
    return groups


def _ttl(section: Section) -> timedelta:
    ttl = section.duration("ttl")
    if not ttl:
        raise section.refuse("ttl", "is missing" if ttl is None else "is no time", remedy="for example ttl: 72h")
    return ttl


def _require(demand: ApprovalDemand) -> str:
    counts = ", ".join(f"{count} of {group}" for group, count in demand.groups.items())
    form = "signed approvals" if demand.signed else "approvals"
    text = f"{form} of this digest: {counts}, at most {span(demand.ttl)} old, by people outside the change"
    if demand.checklist:
        text += f", each over the six answers as they are now, with {', '.join(demand.checklist)} passed"
    return text


def _judge(demand: ApprovalDemand, case: Case) -> Judgement:
    if len(case.release.subjects) != 1:
        remedy = "the pipeline asks for each digest alone: signer sign --subject NAME@sha256:HEX"
        return failed("one approval is about one digest", (), found="several digests in one request", remedy=remedy)
    gap = unnamed(case)
    if gap is not None:
        return unknown(gap)
    unmet = _unmet(demand, case)
    if unmet is not None:
        return unmet
    hold = case.release.hold
    given = [each for each in case.release.ledger.approvals if held_by(each) == hold]
    rejected = [each for each in given if each.kind == "reject"]
    if rejected:
        return _ended(
            Outcome.FAIL,
            rejected,
            found=listed(map(_rejection, rejected)),
            cause="it was rejected",
            remedy="the pipeline brings other evidence or another digest, or whoever rejected it takes that back",
        )
    approving = [each for each in given if each.kind == "approve"]
    refused = dict(_refused(demand, case, approving))
    counted = {each.person: each for each in approving if each.statement not in refused}
    lacking = unfilled(demand.groups, {person: each.groups for person, each in counted.items()})
    found = listed(_told(approving, refused)) or "no approval of this digest on this evidence"
    if not lacking:
        return _ended(Outcome.PASS, counted.values(), found=found)
    wanted = ", ".join(f"{count} of {group}" for group, count in lacking.items())
    return _ended(
        Outcome.WAITING,
        counted.values(),
        found=found,
        cause=f"waiting for {'approval' if sum(lacking.values()) == 1 else 'approvals'}: {wanted}",
        remedy=f"people of {' and '.join(lacking)} approve this request for {case.release.environment}; then the "
        "pipeline sends the same request again: signer sign",
    )


def approving_groups(rules: Iterable[Rule]) -> frozenset[str]:
    """Names of the groups whose approvals these rules count."""
    demands = (rule.parameters for rule in rules if isinstance(rule.parameters, ApprovalDemand))
    return frozenset(name for demand in demands for name in demand.groups)


def _unmet(demand: ApprovalDemand, case: Case) -> Judgement | None:
    """What the checklist lacks; None when every rule on it passed."""
    for outcome, judged in ((Outcome.FAIL, failed), (Outcome.UNKNOWN, unknown)):
        short = []
        for name in demand.checklist:
            ended = {finding.outcome for finding in case.release.findings if finding.rule == name}
            passes = bool(ended) and ended <= {Outcome.PASS, Outcome.WAIVED}
            if not passes and (Outcome.FAIL in ended) is (outcome is Outcome.FAIL):
                short.append(name)
        if short:
            remedy = f"whoever answers for {' and '.join(short)} follows the remedy of that rule first: signer check"
            return judged(f"{listed(short)} on the checklist did not pass", (), found=listed(short), remedy=remedy)
    return None


def _refused(demand: ApprovalDemand, case: Case, approving: Sequence[Approval]) -> Iterator[tuple[str, str]]:
    """The statements that do not count, each with the first of its faults."""
    if not approving:
        return
    roles = excluded(case)
    seen = digest_of(answers(case.release), case.release) if demand.checklist else None
    for each in approving:
        age, role, person = case.now - each.at, roles.get(each.person), each.person
        reasons = (
            (person == UNMAPPED, "somebody whom the access document does not know"),
            (role is not None, f"{person} is the release's {role}"),
            (age < -case.clock_skew, f"{person} approved in the future"),
            (age > demand.ttl, f"{person} approved {span(age)} ago"),
            (demand.signed and not each.signed, f"{person} signed nothing"),
            (seen is not None and each.answers != seen, f"{person} saw other answers"),
            (not set(demand.groups) & set(each.groups), f"{person} is in none of the groups"),
        )
        fault = next((why for holds, why in reasons if holds), None)
        if fault is not None:
            yield each.statement, fault


def _rejection(each: Approval) -> str:
    why = f": {quote(each.reason)}" if each.reason else ""
    return f"{each.person} rejected it at {moment(each.at)}{why}"


def _told(approving: Iterable[Approval], refused: Mapping[str, str]) -> Iterator[str]:
    for each in approving:
        fault = refused.get(each.statement)
        yield f"{each.person} approved at {moment(each.at)}" if fault is None else f"not counted: {fault}"


def _ended(outcome: Outcome, those: Iterable[Approval], *, found: str, cause: str = "", remedy: str = "") -> Judgement:
    statements = tuple(each.statement for each in those)
    return Judgement(outcome=outcome, cause=cause, found=found, evidence=statements, bound="subject", remedy=remedy)


_PARAMETERS: Final = (
    Parameter(
        name="groups",
        sense=Sense(kind=Kind.COUNTS),
        kind="counts by group",
        required=True,
        meaning="how many people of each group of the access document must approve; one person stands for one group "
        "only, and people are assigned so that as many places as possible are filled",
    ),
    Parameter(
        name="ttl",
        sense=Sense(kind=Kind.AGE),
        kind="duration",
        required=True,
        meaning="how long an approval counts after it was given",
    ),
)
_SUPPLY: Final = (
    "the security team has the source platform and the builder attest who wrote the change and who triggered the "
    "build, and adds these people to the access document: signer access lint"
)
_EVIDENCE: Final = (
    "Approvals in the ledger that were given for this digest, this environment, this version of the policy and the set "
    "of evidence that its rules cite. Nobody approves who is an author, a committer, the build's trigger or the "
    "requester; while one of them is not known, or is not in the access document, the rule is unknown."
)

HUMAN = RuleType(
    code="approval.human",
    control="deployment",
    title="Approval by people outside the change",
    description=(
        "Somebody answers for the release who had no hand in it. An approval is bound to the digest and to the "
        "evidence it was given on: another build under the same tag, or a newer scan that changes what counts, needs a "
        "new one. While only approvals are missing, a request is answered with 202 and exit code 11."
    ),
    success="is approved",
    failure="needs approval by people outside the change",
    remedy="people of the groups approve this request; then the pipeline sends it again: signer sign",
    supply=_SUPPLY,
    evidence=_EVIDENCE,
    parameters=(
        *_PARAMETERS,
        Parameter(
            name="signed",
            sense=Sense(kind=Kind.INSISTS, absent=False),
            kind="true or false",
            required=False,
            meaning="true: only a statement signed by the person's registered key counts, and no approval that a "
            "certificate alone recorded; false without it",
        ),
    ),
    example="{id: APR-1, type: approval.human, control: deployment, level: minimum, "
    "groups: {release-managers: 1, sre: 1}, ttl: 72h}",
    needs_provenance=False,
    read=_read_human,
    require=_require,
    judge=_judge,
    ceiling=lambda _: "minimum",
    stage="approval",
)

CHECKLIST = RuleType(
    code="approval.checklist",
    control="deployment",
    title="Approval over an evidence checklist",
    description=(
        "An approver who clicks without looking adds nothing. Here the approver signs the digest of the six answers "
        "that were computed from the evidence, so the record says what they saw; and the rules on the checklist must "
        "have passed, whatever else the policy lets through."
    ),
    success="is approved over the answers as they are now",
    failure="needs approval over a checklist that passed",
    remedy="people of the groups approve this request; then the pipeline sends it again: signer sign",
    supply=_SUPPLY,
    evidence=f"{_EVIDENCE} Only signed approvals count, and only over the answers as they are now.",
    parameters=(
        *_PARAMETERS,
        Parameter(
            name="checklist",
            sense=Sense(kind=Kind.DEMANDS),
            kind="list of rules",
            required=True,
            meaning="ids of rules, required in the same environment, that must have passed or been waived",
        ),
    ),
    example="{id: APR-2, type: approval.checklist, control: deployment, level: better, groups: {sre: 1}, ttl: 24h, "
    "checklist: [TST-1, VUL-1]}",
    needs_provenance=False,
    read=_read_checklist,
    require=_require,
    judge=_judge,
    ceiling=lambda _: "better",
    stage="approval",
)
