# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from signer.dev.attestations import approvals_statement
from signer.errors import Malformed
from signer.formats.gittuf import TreeApprovals, read_tree_approvals
from signer.formats.statement import Statement, parse_statement

TREE = "2f70a39a" + "0" * 32
Edit = Callable[[dict[str, Any]], object]


def statement(edit: Edit = lambda _: None, **changes: Any) -> Statement:
    value = json.loads(approvals_statement(**{"tree": TREE, "approvers": ["octocat+583231"], **changes}))
    edit(value)
    return parse_statement(json.dumps(value).encode())


def test_people_are_named_by_their_numbers() -> None:
    found = read_tree_approvals(statement(approvers=["b+2", "octocat+583231"], dismissed=["c+3"]))
    assert found == TreeApprovals(
        tree=TREE,
        approved=("login:https://github.com#2", "login:https://github.com#583231"),
        dismissed=("login:https://github.com#3",),
    )


def test_a_login_without_its_number_names_nobody_who_can_be_mapped() -> None:
    assert read_tree_approvals(statement(approvers=["octocat"])).approved == ("name:octocat",)


def test_the_older_names_of_the_fields_are_read() -> None:
    def rename(value: dict[str, Any]) -> None:
        predicate = value["predicate"]
        predicate["targetID"] = predicate.pop("targetTreeID")
        predicate["fromID"] = predicate.pop("fromRevisionID")
        predicate["dismissedApprovers"] = None

    assert read_tree_approvals(statement(rename)) == read_tree_approvals(statement())


REFUSED: dict[str, tuple[Edit, str]] = {
    "a commit": (lambda v: v["subject"][0].update(digest={"gitCommit": TREE}), "one git tree"),
    "two trees": (lambda v: v["subject"].append({"digest": {"gitTree": "0" * 40}}), "one git tree"),
    "another target": (lambda v: v["predicate"].update(targetTreeID="0" * 40), "not the tree"),
    "no target": (lambda v: v["predicate"].pop("targetTreeID"), "not the tree"),
    "approvers that are keys": (lambda v: v["predicate"].update(approvers=[{"keyid": "x"}]), "wrong shape"),
    "an approver with a blank": (lambda v: v["predicate"].update(approvers=["a b"]), "visible ASCII"),
    "too many approvers": (lambda v: v["predicate"].update(approvers=["a+1"] * 1025), "at most"),
}


@pytest.mark.parametrize(("edit", "fault"), REFUSED.values(), ids=REFUSED)
def test_refuses(edit: Edit, fault: str) -> None:
    with pytest.raises(Malformed, match=fault):
        read_tree_approvals(statement(edit))
