# SPDX-License-Identifier: Apache-2.0
"""The rules over review records; the good record satisfies them all, and each case changes one thing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from policy.decision import Finding, Outcome
from policy.document import parse_policy
from policy.engine import evaluate
from policy.facts import CertificateIdentity, Item
from policy.schema import PolicyError
from tests.policy.factory import (
    ADMIN,
    AUTHOR,
    COMMITTER,
    NOW,
    REVIEW_RULES,
    REVIEWER,
    WORKFLOWS,
    approval,
    built,
    document,
    encode,
    facts,
    owned,
    policy,
    protected,
    recorded,
    reviewed,
    sole,
)

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN
OLD = "f" * 40
PINNED = f"https://github.com/acme/builders/.github/workflows/build.yml@{'1' * 40}"
OWN = "https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main"

Case = tuple[dict[str, Any], tuple[Item, ...], Outcome, str]


def said(**changes: Any) -> tuple[Item, ...]:
    return (built(), recorded(**changes))


def untouched(**changes: Any) -> tuple[Item, ...]:
    """The change touches no owned file, so that only reviews decide."""
    return said(owned=(owned(changed=False),), **changes)


def judged(rule: str, changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, words: str) -> Finding:
    finding = sole(policy(rule, **changes), *items)
    assert finding.outcome is outcome, finding.title
    assert words in f"{finding.title} {finding.found}"
    return finding


# Which records count


EVERY = [rule["id"] for rule in REVIEW_RULES]

JOIN: dict[str, tuple[tuple[Item, ...], Outcome, str]] = {
    "the good record passes": (said(), PASS, ""),
    "no record is unknown": ((built(),), UNKNOWN, "no review record for commit"),
    "no provenance is unknown": ((recorded(),), UNKNOWN, "no verified provenance"),
    "another commit is unknown": (said(commit=OLD), UNKNOWN, "no review record for commit"),
    "another repository is unknown": (said(repository="github.com/evil/shop"), UNKNOWN, "no review record"),
    "provenance without a commit joins nothing": (
        (built(commit=None), recorded()),
        UNKNOWN,
        "does not name repository and commit",
    ),
    "a record that is only submitted never counts": (said(attested=False), UNKNOWN, "no review record"),
    "a record bound to the artifact never counts": (said(bound="subject"), UNKNOWN, "no review record"),
    "a record by another key fails": (said(collector=None, key="stranger"), FAIL, "the key differs"),
    "a record by another producer fails": (
        said(collector=None, verifier="https://evil.invalid"),
        FAIL,
        "the verifier id differs",
    ),
    "a stranger's record takes nothing away": (
        (*said(), recorded("evil", collector=None, key="stranger", bypassed=True, owners_enforced=False)),
        PASS,
        "",
    ),
    "a record of a tree alone needs another that says whose tree it is": (
        said(by_tree=True, tree="a" * 40),
        UNKNOWN,
        "which tree the commit has",
    ),
}


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize(("items", "outcome", "words"), JOIN.values(), ids=JOIN)
def test_which_records_count(rule: str, items: tuple[Item, ...], outcome: Outcome, words: str) -> None:
    finding = judged(rule, {}, items, outcome, words)
    if outcome is not PASS:
        assert ": signer " in finding.remedy


@pytest.mark.parametrize("rule", EVERY)
def test_what_passed_names_record_and_provenance(rule: str) -> None:
    finding = sole(policy(rule), *said())
    assert set(finding.evidence) == {item.origin.digest for item in said()}
    assert finding.bound == "source"


@pytest.mark.parametrize("rule", [*EVERY, "SRC-2"])
def test_a_builder_that_is_a_collector_too_does_not_vouch_for_its_own_source(rule: str) -> None:
    value = document()
    value["trust"]["collectors"]["forge"]["key"] = "builder"
    value["rules"] = [each for each in [*value["rules"], *REVIEW_RULES] if each["id"] == rule]
    items = [replace(item, origin=replace(item.origin, key="builder")) for item in (built(), recorded(), reviewed())]
    (finding,) = evaluate(parse_policy(encode(value)), facts(*items), now=NOW).findings
    assert finding.outcome is FAIL
    assert "the signer of the provenance also signed" in finding.title
    assert "a key that no build can use" in finding.remedy


def test_an_identity_that_builds_does_not_vouch_for_its_own_source() -> None:
    workflow = CertificateIdentity(root="root", issuer="https://i.invalid", subject=OWN)
    items = [replace(item, origin=replace(item.origin, identity=workflow)) for item in said()]
    assert sole(policy("SRC-4"), *items).outcome is not PASS


@pytest.mark.parametrize("rule", ["SRC-4", "SRC-8"])
def test_approvals_of_the_tree_count_when_a_record_says_that_it_is_the_commits(rule: str) -> None:
    tree = "a" * 40
    silent = recorded(tree=tree, reviews=())
    approvals = replace(
        recorded("gittuf", tree=tree, by_tree=True), authors=None, protected=(), owners_enforced=None, owned=()
    )
    assert sole(policy(rule), built(), silent).outcome is FAIL
    assert sole(policy(rule), built(), silent, approvals).outcome is PASS
    assert sole(policy(rule), built(), silent, replace(approvals, tree="b" * 40)).outcome is FAIL


# source.protection


PROTECTION: dict[str, Case] = {
    "a protected ref passes": ({}, said(), PASS, "from a protected ref"),
    "direct pushes fail": ({}, said(protected=(protected(by_request=False),)), FAIL, "takes direct pushes"),
    "force pushes fail": ({}, said(protected=(protected(force_push=True),)), FAIL, "can be rewritten"),
    "deletion fails": ({}, said(protected=(protected(deletion=True),)), FAIL, "can be deleted"),
    "all that is wrong is told": (
        {},
        said(protected=(protected(by_request=False, deletion=True),)),
        FAIL,
        '"refs/heads/main" takes direct pushes, "refs/heads/main" can be deleted',
    ),
    "another protected ref fails": ({}, said(protected=(protected(ref="refs/heads/x"),)), FAIL, "differs"),
    "a pattern matches": ({"refs": ["refs/heads/*"]}, said(protected=(protected(ref="refs/heads/x"),)), PASS, ""),
    "one protected ref of two is enough": (
        {"refs": ["refs/heads/*"]},
        said(protected=(protected(ref="refs/heads/x", deletion=True), protected())),
        PASS,
        "",
    ),
    "a record without a word on it is unknown": ({}, said(protected=()), UNKNOWN, "says that the ref is protected"),
    "administrators may be free": ({}, said(protected=(protected(includes_admins=False),)), PASS, ""),
    "administrators are bound where that is demanded": (
        {"includesAdmins": True},
        said(protected=(protected(includes_admins=False),)),
        FAIL,
        "administrators are free",
    ),
    "a ref is as weak as any record says": (
        {},
        (*said(), recorded("second", protected=(protected(force_push=True),))),
        FAIL,
        "can be rewritten",
    ),
}


@pytest.mark.parametrize(("changes", "items", "outcome", "words"), PROTECTION.values(), ids=PROTECTION)
def test_protection(changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, words: str) -> None:
    judged("SRC-3", changes, items, outcome, words)


# source.reviewers


REVIEWERS: dict[str, Case] = {
    "two independent approvals pass": ({}, untouched(), PASS, "2 independent approvals"),
    "more than demanded pass": ({"min": 1}, untouched(), PASS, ""),
    "one of two fails": ({}, untouched(reviews=(approval(),)), FAIL, "1 of 2 independent approvals"),
    "none fails": ({"min": 1}, untouched(reviews=()), FAIL, "0 of 1"),
    "one who approves twice is one": ({}, untouched(reviews=(approval(), approval(role="admin"))), FAIL, "1 of 2"),
    "an author does not count": ({}, untouched(reviews=(approval(), approval(AUTHOR))), FAIL, "1 by an author"),
    "a committer does not count": ({}, untouched(reviews=(approval(), approval(COMMITTER))), FAIL, "1 by an author"),
    "who triggered the build does not count": (
        {},
        (built(triggered_by=REVIEWER), recorded()),
        FAIL,
        "builder trigger or requester",
    ),
    "a robot that triggered the build takes nothing away": ({}, (built(triggered_by="robot:ci"), recorded()), PASS, ""),
    "an approval of an earlier commit does not count": (
        {},
        untouched(reviews=(approval(), approval(ADMIN, commit=OLD))),
        FAIL,
        "1 of another commit",
    ),
    "a dismissed approval does not count": (
        {},
        untouched(reviews=(approval(), approval(ADMIN, decision="dismissed"))),
        FAIL,
        "taken back",
    ),
    "who also asks for changes does not count": (
        {},
        untouched(reviews=(approval(), approval(ADMIN), approval(ADMIN, decision="changes-requested"))),
        FAIL,
        "1 of 2",
    ),
    "what somebody said of an earlier commit takes nothing back": (
        {},
        untouched(reviews=(approval(), approval(ADMIN), approval(ADMIN, decision="changes-requested", commit=OLD))),
        PASS,
        "",
    ),
    "a reviewer who may only read does not count": (
        {},
        untouched(reviews=(approval(), approval(ADMIN, role="read"))),
        FAIL,
        "1 by somebody who may not write",
    ),
    "a robot does not count": ({}, untouched(reviews=(approval(), approval("robot:bot"))), FAIL, "1 by a robot"),
    "a reviewer whose role the evidence cannot say counts": (
        {},
        untouched(reviews=(approval(), approval(ADMIN, role=None))),
        PASS,
        "",
    ),
    "an unmapped author is unknown": (
        {},
        untouched(authors=("unmapped", COMMITTER)),
        UNKNOWN,
        "does not know an author or committer",
    ),
    "an unmapped trigger is unknown": (
        {},
        (built(triggered_by="unmapped"), recorded()),
        UNKNOWN,
        "does not know who triggered the build",
    ),
    "an unmapped reviewer who is needed is unknown": (
        {},
        untouched(reviews=(approval(), approval("unmapped"))),
        UNKNOWN,
        "does not know a reviewer",
    ),
    "an unmapped reviewer who is not needed takes nothing away": (
        {},
        untouched(reviews=(approval(), approval(ADMIN), approval("unmapped"))),
        PASS,
        "",
    ),
    "an unmapped objection takes no unmapped approval away": (
        {"min": 1},
        untouched(reviews=(approval("unmapped", decision="dismissed"), approval("unmapped"))),
        UNKNOWN,
        "does not know a reviewer",
    ),
    "a record without authors is unknown": ({}, untouched(authors=None), UNKNOWN, "says who wrote the change"),
    "an author in any record is one": (
        {},
        (*untouched(), recorded("second", authors=(REVIEWER,))),
        FAIL,
        "1 of 2",
    ),
    "approvals in two records add up": (
        {},
        (
            built(),
            recorded("first", reviews=(approval(),)),
            recorded("second", reviews=(approval(ADMIN),)),
        ),
        PASS,
        "",
    ),
    "too few is a failure, known authors or not": (
        {},
        untouched(authors=("unmapped",), reviews=(approval(),)),
        FAIL,
        "1 of 2",
    ),
}


@pytest.mark.parametrize(("changes", "items", "outcome", "words"), REVIEWERS.values(), ids=REVIEWERS)
def test_reviewers(changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, words: str) -> None:
    finding = judged("SRC-4", changes, items, outcome, words)
    if outcome is UNKNOWN and "access document" in finding.title:
        assert "signer access activate" in finding.remedy


def test_who_asks_for_the_signature_does_not_count() -> None:
    asked = facts(*untouched())
    asked = replace(asked, request=replace(asked.request, submitter=ADMIN))
    (finding,) = evaluate(policy("SRC-4"), asked, now=NOW).findings
    assert finding.outcome is FAIL
    assert "1 of 2" in finding.title


def test_a_finding_names_nobody() -> None:
    """Persons stand under pseudonyms that may be renamed; the words of a finding do not change with them."""
    finding = sole(policy("SRC-4"), *untouched(reviews=(approval(AUTHOR),)))
    assert "person:" not in f"{finding.title} {finding.found} {finding.remedy}"


# source.owners and source.workflow-files


OWNERS: dict[str, Case] = {
    "a change that its owner approved passes": ({}, said(), PASS, f'changed: "{WORKFLOWS}"'),
    "a change of nothing owned passes": ({}, untouched(), PASS, "no change of"),
    "owners whom nobody asks fail": ({}, said(owners_enforced=False), FAIL, "does not insist on an owner's approval"),
    "one record that says so is enough to fail": (
        {},
        (*said(), recorded("second", owners_enforced=False)),
        FAIL,
        "does not insist",
    ),
    "a record without owners is unknown": ({}, said(owners_enforced=None, owned=()), UNKNOWN, "whether owners must"),
    "a repository without owners fails": ({}, said(owned=()), FAIL, "no file of the repository has an owner"),
    "an entry without owners is none": ({}, said(owned=(owned(owners=()),)), FAIL, "no file of the repository"),
    "an approval by somebody else fails": (
        {},
        said(owned=(owned(owners=("person:x",)),)),
        FAIL,
        "no independent owner",
    ),
    "an owner who is an author fails": ({}, said(owned=(owned(owners=(AUTHOR,)),)), FAIL, "no independent owner of"),
    "each changed entry needs its owner": (
        {},
        said(owned=(owned(), owned(paths=("deploy/",), owners=("person:x",)))),
        FAIL,
        'no independent owner of "deploy/"',
    ),
    "an unmapped owner is unknown": ({}, said(owned=(owned(owners=("unmapped",)),)), UNKNOWN, "does not know an owner"),
    "an unmapped reviewer may be an owner": (
        {},
        said(reviews=(approval("unmapped"),)),
        UNKNOWN,
        "does not know an owner",
    ),
    "an unmapped author is unknown": ({}, said(authors=("unmapped",)), UNKNOWN, "does not know an author"),
}


@pytest.mark.parametrize("rule", ["SRC-5", "SRC-6"])
@pytest.mark.parametrize(("changes", "items", "outcome", "words"), OWNERS.values(), ids=OWNERS)
def test_owners(rule: str, changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, words: str) -> None:
    if rule == "SRC-6" and 'of "deploy/"' in words:
        outcome, words = PASS, "workflows"  # deploy/ is no workflow
    judged(rule, changes, items, outcome, words)


FILES: dict[str, Case] = {
    "a workflow in an owned folder passes": ({}, said(), PASS, "only its owners change"),
    "a workflow that is owned itself passes": (
        {"paths": None},
        said(owned=(owned(paths=(f"{WORKFLOWS}release.yml",)),)),
        PASS,
        "",
    ),
    "a workflow beside what is owned fails": (
        {"paths": None},
        said(owned=(owned(paths=(".github/actions/",)),)),
        FAIL,
        f'nobody owns "{WORKFLOWS}release.yml"',
    ),
    "a folder of a longer name owns nothing here": (
        {"paths": None},
        said(owned=(owned(paths=(".github/workflows",)),)),
        FAIL,
        "nobody owns",
    ),
    "another folder that is demanded must be owned": (
        {"paths": ["deploy/"]},
        said(),
        FAIL,
        'nobody owns "deploy/"',
    ),
    "another folder that is demanded and owned passes": (
        {"paths": ["deploy/prod/"]},
        said(owned=(owned(), owned(paths=("deploy/",), changed=False))),
        PASS,
        "",
    ),
    "provenance without a workflow is unknown": (
        {},
        (built(workflow=None), recorded()),
        UNKNOWN,
        "does not name the workflow",
    ),
}


@pytest.mark.parametrize(("changes", "items", "outcome", "words"), FILES.values(), ids=FILES)
def test_workflow_files(changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, words: str) -> None:
    judged("SRC-6", changes, items, outcome, words)


# source.workflow


def by_workflow(uri: str, **changes: Any) -> tuple[Item, ...]:
    """Provenance that a workflow signed, as its certificate names it."""
    identity = CertificateIdentity(root="root", issuer="https://i.invalid", subject=uri, workflow=uri)
    item = built(**changes)
    return (replace(item, origin=replace(item.origin, identity=identity)), recorded())


WORKFLOW: dict[str, Case] = {
    "a workflow of the built commit passes": ({}, said(), PASS, "a workflow of the reviewed commit"),
    "the repository's own workflow as builder passes": (
        {},
        (built(builder_id=OWN, builder="own"), recorded()),
        PASS,
        OWN,
    ),
    "a reusable workflow that the policy pins passes": (
        {"reusable": [PINNED]},
        (built(builder_id=PINNED, builder="pinned"), recorded()),
        PASS,
        PINNED,
    ),
    "a reusable workflow that it does not pin fails": (
        {},
        (built(builder_id=PINNED, builder="pinned"), recorded()),
        FAIL,
        "neither of the built commit nor pinned",
    ),
    "the own workflow at another ref fails": (
        {},
        (built(builder_id=OWN, builder="own", ref="refs/tags/v1"), recorded()),
        FAIL,
        "neither of the built commit nor pinned",
    ),
    "a ref that can be rewritten fails": ({}, said(protected=(protected(force_push=True),)), FAIL, "can be rewritten"),
    "a ref that can be deleted fails": ({}, said(protected=(protected(deletion=True),)), FAIL, "can be deleted"),
    "a ref of which nothing is said is unknown": (
        {},
        (built(ref="refs/tags/v1"), recorded()),
        UNKNOWN,
        'how the ref "refs/tags/v1" is protected',
    ),
    "a tag that stays passes": (
        {},
        (built(ref="refs/tags/v1"), recorded(protected=(protected(ref="refs/tags/v1", by_request=False),))),
        PASS,
        "",
    ),
    "provenance without a workflow is unknown": (
        {},
        (built(workflow=None), recorded()),
        UNKNOWN,
        "does not name the workflow",
    ),
    "provenance without a ref is unknown": ({}, (built(ref=None), recorded()), UNKNOWN, "does not name the workflow"),
}


@pytest.mark.parametrize(("changes", "items", "outcome", "words"), WORKFLOW.values(), ids=WORKFLOW)
def test_workflow(changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, words: str) -> None:
    value = document()
    ci = value["trust"]["builders"]["ci"]
    value["trust"]["builders"] |= {"own": {**ci, "id": OWN}, "pinned": {**ci, "id": PINNED}}
    value["rules"] = [{**rule, **changes} for rule in REVIEW_RULES if rule["id"] == "SRC-7"]
    (finding,) = evaluate(parse_policy(encode(value)), facts(*items), now=NOW).findings
    assert finding.outcome is outcome, finding.title
    assert words in f"{finding.title} {finding.found}"


UNPINNED = ["https://github.com/acme/b/w.yml@refs/tags/v1", "https://github.com/acme/b/w.yml@abc", "acme/b@" + "1" * 40]


@pytest.mark.parametrize("name", UNPINNED)
def test_a_reusable_workflow_is_pinned_by_its_whole_commit(name: str) -> None:
    with pytest.raises(PolicyError, match="is no workflow at a commit"):
        policy("SRC-7", reusable=[name])


# source.admin-review


ADMIN_REVIEW: dict[str, Case] = {
    "an administrator's approval passes": ({}, said(), PASS, "no protection was bypassed"),
    "an approval by somebody else fails": (
        {},
        said(reviews=(approval(),)),
        FAIL,
        "0 of 1 independent approvals of the head commit by administrators",
    ),
    "an administrator who wrote it fails": (
        {},
        said(reviews=(approval(AUTHOR, role="admin"),)),
        FAIL,
        "1 by an author",
    ),
    "whose role the evidence cannot say is no administrator": (
        {},
        said(reviews=(approval(ADMIN, role=None),)),
        FAIL,
        "1 by nobody who is stated to be an administrator",
    ),
    "two are demanded": ({"min": 2}, said(), FAIL, "1 of 2"),
    "a bypass that another administrator approved passes": ({}, said(bypassed=True), PASS, "a protection was bypassed"),
    "a bypass by the administrator who approved fails": (
        {},
        said(bypassed=True, merged_by=ADMIN),
        FAIL,
        "and a protection was bypassed",
    ),
    "who merged without a bypass may have approved": ({}, said(merged_by=ADMIN), PASS, ""),
    "a bypass by somebody unmapped is unknown": (
        {},
        said(bypassed=True, merged_by="unmapped"),
        UNKNOWN,
        "does not know who bypassed",
    ),
    "a bypass in any record is one": (
        {},
        (*said(), recorded("second", bypassed=True, merged_by=ADMIN)),
        FAIL,
        "a protection was bypassed",
    ),
    "a record that does not say is unknown": (
        {},
        said(bypassed=None, merged_by=None),
        UNKNOWN,
        "whether a protection was bypassed",
    ),
    "an unmapped author is unknown": ({}, said(authors=("unmapped",)), UNKNOWN, "does not know an author"),
}


@pytest.mark.parametrize(("changes", "items", "outcome", "words"), ADMIN_REVIEW.values(), ids=ADMIN_REVIEW)
def test_admin_review(changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, words: str) -> None:
    judged("SRC-8", changes, items, outcome, words)


# Levels


CEILINGS = {
    "SRC-1": "minimum",
    "SRC-3": "minimum",
    "SRC-5": "better",
    "SRC-6": "better",
}


@pytest.mark.parametrize(("rule", "ceiling"), CEILINGS.items(), ids=CEILINGS)
def test_a_rule_claims_no_more_than_it_shows(rule: str, ceiling: str) -> None:
    assert policy(rule, level=ceiling).rules[0].level == ceiling
    above = {"minimum": "better", "better": "strong"}[ceiling]
    with pytest.raises(PolicyError, match=f"carry the level {ceiling} at most"):
        policy(rule, level=above)


@pytest.mark.parametrize(
    ("changes", "ceiling"),
    [
        ({"atLeast": "SLSA_SOURCE_LEVEL_3", "properties": None}, "minimum"),
        ({"atLeast": "SLSA_SOURCE_LEVEL_4", "properties": None}, "better"),
        ({"atLeast": None}, "better"),
    ],
)
def test_a_source_summary_claims_no_more_than_it_shows(changes: dict[str, Any], ceiling: str) -> None:
    assert policy("SRC-2", **changes, level=ceiling).rules[0].level == ceiling
    with pytest.raises(PolicyError, match="at most"):
        policy("SRC-2", **changes, level="strong")


def test_a_protection_that_binds_administrators_is_better() -> None:
    assert policy("SRC-3", level="better", includesAdmins=True).rules[0].level == "better"


def test_the_order_of_records_does_not_matter() -> None:
    records = (recorded("first", reviews=(approval(),)), recorded("second", reviews=(approval(ADMIN, role="admin"),)))
    for rule in EVERY:
        one, other = (sole(policy(rule), built(), *order) for order in (records, records[::-1]))
        assert one == other
