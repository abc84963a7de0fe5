# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from policy.review_facts import OwnedFiles, ProtectedRef, Review
from signer.dev.attestations import COMMIT, DEVELOPER, MAINTAINER, REVIEWER, VERIFIER_ID, review_statement
from signer.errors import Malformed
from signer.formats.review_record import ATTRIBUTES, ReviewRecord, is_review_record, read_review_record
from signer.formats.statement import Statement, parse_statement

Edit = Callable[[dict[str, Any]], object]


def statement(edit: Edit = lambda _: None, **changes: Any) -> Statement:
    value = json.loads(review_statement(**changes))
    edit(value)
    return parse_statement(json.dumps(value).encode())


def conditions(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The conditions of the first attribute of this name."""

    def find(value: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = next(
            entry["conditions"] for entry in value["predicate"]["attributes"] if entry["attribute"] == name
        )
        return found

    return find


authored, reviewed, protected, owned, merged = map(conditions, ATTRIBUTES)


def test_a_whole_record_is_read() -> None:
    assert read_review_record(statement(tree="a" * 40)) == ReviewRecord(
        verifier=VERIFIER_ID,
        repository="github.com/acme/shop",
        commit=COMMIT,
        tree="a" * 40,
        authors=(DEVELOPER,),
        reviews=(
            Review(reviewer=MAINTAINER, commit=COMMIT, decision="approved", role="admin"),
            Review(reviewer=REVIEWER, commit=COMMIT, decision="approved", role="write"),
        )[::-1],
        protected=(
            ProtectedRef(
                ref="refs/heads/main", by_request=True, force_push=False, deletion=False, includes_admins=True
            ),
        ),
        owners_enforced=True,
        owned=(OwnedFiles(paths=(".github/workflows/",), owners=(MAINTAINER, REVIEWER), changed=True),),
        merged_by=DEVELOPER,
        bypassed=False,
    )


def test_what_a_record_does_not_state_is_not_known() -> None:
    found = read_review_record(statement(without=ATTRIBUTES[:1] + ATTRIBUTES[2:]))
    assert (found.authors, found.owners_enforced, found.merged_by, found.bypassed) == (None,) * 4
    assert (found.protected, found.owned) == ((), ())
    assert len(found.reviews) == 2


def test_authors_and_committers_are_one_list() -> None:
    found = read_review_record(statement(lambda value: authored(value).update(committers=["email:z@x.invalid"])))
    assert found.authors == (DEVELOPER, "email:z@x.invalid")


def test_attributes_of_others_are_passed_over() -> None:
    def add(value: dict[str, Any]) -> None:
        value["predicate"]["attributes"].append({"attribute": "HAS_STACK_PROTECTION", "conditions": {"flags": "x"}})

    assert read_review_record(statement(add)) == read_review_record(statement())


@pytest.mark.parametrize(
    ("edit", "ours"),
    [
        pytest.param(lambda _: None, True, id="a record"),
        pytest.param(lambda v: v["predicate"].update(attributes=[{"attribute": "HAS_X"}]), False, id="of other words"),
        pytest.param(lambda v: v["subject"][0].update(digest={"sha256": "a" * 64}), False, id="about an artifact"),
        pytest.param(lambda v: v.update(predicateType="https://x.invalid"), False, id="of another type"),
        pytest.param(lambda v: v["predicate"].pop("attributes"), False, id="of nothing"),
    ],
)
def test_is_a_review_record(edit: Edit, ours: bool) -> None:
    assert is_review_record(statement(edit)) is ours


REFUSED: dict[str, tuple[Edit, str]] = {
    "two commits": (lambda v: v["subject"].append({"digest": {"gitCommit": "f" * 40}}), "speaks of one commit"),
    "no repository": (lambda v: v["subject"][0].pop("uri"), "source repository"),
    "a repository with two meanings": (
        lambda v: v["subject"][0].update(uri="git+https://github.com@evil.invalid/acme/shop"),
        "source repository",
    ),
    "no producer": (lambda v: v["predicate"].pop("producer"), "names no producer"),
    "a producer with a blank": (lambda v: v["predicate"].update(producer={"uri": "a b"}), "visible ASCII"),
    "an unknown condition": (lambda v: reviewed(v).update(unless="dismissed"), "wrong shape"),
    "a missing condition": (lambda v: protected(v).pop("forcePush"), "wrong shape"),
    "another decision": (lambda v: reviewed(v).update(decision="lgtm"), "wrong shape"),
    "another role": (lambda v: reviewed(v).update(role="owner"), "wrong shape"),
    "a flag that is text": (lambda v: owned(v).update(enforced="yes"), "wrong shape"),
    "a reviewer by name alone": (lambda v: reviewed(v).update(reviewer="kim"), "is not san:, email: or login:"),
    "an author by name alone": (lambda v: authored(v).update(authors=["Kim <kim@x.invalid>"]), "author"),
    "no author": (lambda v: authored(v).update(authors=[]), "names no author"),
    "no committer": (lambda v: authored(v).update(committers=[]), "names no author or no committer"),
    "a short commit": (lambda v: reviewed(v).update(commit="51c0de0"), "full git object id"),
    "a ref without its beginning": (lambda v: protected(v).update(ref="main"), "begin with refs/"),
    "a ref with a blank": (lambda v: protected(v).update(ref="refs/heads/a b"), "plain ref name"),
    "a wildcard in a path": (lambda v: owned(v)["files"][0].update(paths=["**"]), "not a plain path"),
    "a path from the root": (lambda v: owned(v)["files"][0].update(paths=["/etc"]), "not a plain path"),
    "a path upwards": (lambda v: owned(v)["files"][0].update(paths=["a/../b"]), "not a plain path"),
    "no path": (lambda v: owned(v)["files"][0].update(paths=[]), "names no path"),
    "authors twice": (
        lambda v: v["predicate"]["attributes"].append({"attribute": ATTRIBUTES[0], "conditions": authored(v)}),
        "twice",
    ),
    "too many attributes": (lambda v: v["predicate"].update(attributes=v["predicate"]["attributes"] * 300), "at most"),
    "too many owners": (lambda v: owned(v)["files"][0].update(owners=[REVIEWER] * 1025), "at most"),
}


@pytest.mark.parametrize(("edit", "fault"), REFUSED.values(), ids=REFUSED)
def test_refuses(edit: Edit, fault: str) -> None:
    with pytest.raises(Malformed, match=fault):
        read_review_record(statement(edit))


def test_a_tree_is_a_git_object_id() -> None:
    with pytest.raises(Malformed, match="gitTree"):
        statement(tree="main")
