# SPDX-License-Identifier: Apache-2.0
"""Policies and releases for property tests: good evidence most often, and everything that can be wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from policy.artifact_facts import Licence
from policy.facts import (
    Item,
)
from tests.policy.factory import (
    ADMIN,
    AUTHOR,
    COMMIT,
    FURTHER_TRUST,
    LOG,
    REVIEWER,
    ago,
    approval,
    built,
    dismissal,
    document,
    encode,
    further_rules,
    good,
    inventory,
    kept,
    owned,
    policy,
    protected,
    ran,
    recorded,
    reviewed,
    scanned,
    signed,
    vex,
    vulnerability,
)

SUBJECTS = 2

ASIDE: dict[str, Any] = {"vex": ["appsec"], "grace": {"critical": "7d"}, "onlyIfFixed": True}
POLICIES = [
    policy(),
    policy("BLD-1", "SRC-1"),
    policy("SRC-2"),
    policy("BLD-2", "VUL-1"),
    policy("TST-1", "SBM-1"),
    policy("VUL-1", **ASIDE),
    policy("BLD-6", "ART-1", "ART-3", submitted=True, level="better"),
    policy("LIC-1", "SBM-2", "BLD-4", "BLD-7"),
    policy("SRC-3", "SRC-4", "SRC-5"),
    policy("SRC-6", "SRC-7", "SRC-8"),
]

places = st.fixed_dictionaries(
    {
        "covers": st.sampled_from([(0,), (1,), (0, 1), (0, 1), (0, 1), ()]),
        "received": st.integers(0, 3),
        "attested": st.sampled_from([True, True, True, False]),
    }
)


def several(*choices: Any) -> st.SearchStrategy[Any]:
    """The first choice is the good one and comes up most often."""
    return st.sampled_from([choices[0]] * 3 + list(choices))


@st.composite
def builds(draw: st.DrawFn) -> Item:
    """Provenance, by either builder."""
    placing: dict[str, Any] = draw(places)
    builder: dict[str, Any] = {}
    if draw(several(False, True)):
        builder = {"builder": "shared-ci", "builder_id": "https://dev.invalid/shared", "key": "other"}
    return built(
        f"build-{draw(st.integers(0, 10**6))}",
        **builder,
        **placing,
        ref=draw(several("refs/heads/main", "refs/heads/x", None)),
        commit=draw(several(COMMIT, "f" * 40, None)),
        parameters=draw(several((), ("inputs.x",))),
        definition=draw(several(COMMIT, "refs/heads/x", None)),
        logs=draw(several((LOG,), ())),
        secrets=draw(several((), ("TOKEN",), None)),
        finished=draw(several(ago(hours=4), None, ago(days=30), ago(days=-1))),
        started=draw(several(ago(hours=5), None, ago(hours=1))),
    )


@st.composite
def items(draw: st.DrawFn) -> Item:
    name = f"item-{draw(st.integers(0, 10**6))}"
    placing: dict[str, Any] = draw(places)
    match draw(st.integers(0, 7)):
        case 0:
            return draw(builds())
        case 1:
            return reviewed(
                name,
                **placing,
                bound=draw(several("source", "none")),
                commit=draw(several(COMMIT, "f" * 40)),
                levels=draw(several(("SLSA_SOURCE_LEVEL_4",), ("SLSA_SOURCE_LEVEL_2",), ())),
                collector=draw(several("forge", None)),
            )
        case 2:
            return ran(
                name,
                **placing,
                tester=draw(several("ci", None)),
                failed=draw(several(0, 2)),
                suites=draw(several(("unit",), ("e2e",), ())),
            )
        case 3:
            return scanned(
                name,
                **placing,
                scanner=draw(several("grype", None)),
                vulnerabilities=draw(several((), (vulnerability("critical"),), (vulnerability("unknown"),))),
                tells_fixes=draw(several(False, True)),
                first_received=draw(several(ago(hours=3), ago(days=8), None)),
                finished=draw(several(ago(hours=3), ago(days=9), None)),
            )
        case 4:
            return draw(records(name, placing))
        case _:
            return draw(further(name, placing))


@st.composite
def records(draw: st.DrawFn, name: str, placing: dict[str, Any]) -> Item:
    """Review records, with reviews by people inside and outside the change."""
    people = several(REVIEWER, ADMIN, AUTHOR, "unmapped", "robot:bot")
    reviews = st.builds(
        approval,
        people,
        role=several("admin", "write", "read", None),
        decision=several("approved", "dismissed"),
        commit=several(COMMIT, "f" * 40),
    )
    return recorded(
        name,
        **placing,
        bound=draw(several("source", "none")),
        commit=draw(several(COMMIT, "f" * 40)),
        collector=draw(several("forge", None)),
        by_tree=draw(several(False, True)),
        tree=draw(several(None, "a" * 40)),
        authors=draw(several((AUTHOR,), (AUTHOR, REVIEWER), ("unmapped",), None)),
        reviews=tuple(draw(st.lists(reviews, max_size=3))),
        protected=(protected(force_push=draw(several(False, True)), ref=draw(several("refs/heads/main", "refs/x"))),),
        owners_enforced=draw(several(True, False, None)),
        owned=(owned(owners=draw(several((REVIEWER,), ("unmapped",), ())), changed=draw(several(True, False))),),
        bypassed=draw(several(False, True, None)),
    )


@st.composite
def further(draw: st.DrawFn, name: str, placing: dict[str, Any]) -> Item:
    match draw(st.integers(0, 3)):
        case 0:
            return signed(name, **placing, signer=draw(several("release", None)))
        case 1:
            statement = dismissal("CVE-2026-40021", status=draw(several("not_affected", "affected")))
            return vex(statement, name=name, **placing, author=draw(several("appsec", None)))
        case 2:
            return kept(name, **placing, submitter=draw(several("robot:ci", "robot:dana")))
        case _:
            licence = Licence(expression=draw(several("MIT", "X", None)), components=3, example="a")
            return inventory(
                name,
                **placing,
                producer=draw(several("ci", None)),
                components=draw(several(3, 0)),
                undigested=draw(several(0, 1, None)),
                licences=(licence,),
            )


def whole() -> tuple[Item, ...]:
    """Evidence that satisfies every rule for both subjects."""
    return tuple(replace(item, origin=replace(item.origin, covers=(0, 1))) for item in good())


releases = st.builds(
    lambda base, more: (*base, *more), st.sampled_from([(), whole(), whole()]), st.lists(items(), max_size=6)
).map(lambda every: tuple({item.origin.digest: item for item in every}.values()))

policies = st.integers(0, len(POLICIES) - 1)

IDS = [rule["id"] for rule in (*document()["rules"], *further_rules())]
OF_BUILDS = ["BLD-1", "BLD-2", "SRC-1", "ART-1", "BLD-6"]
OF_PEOPLE = ["SRC-4", "SRC-5", "SRC-8"]
in_use = (
    st.lists(st.sampled_from(IDS), min_size=1, max_size=6, unique=True)
    | st.just(OF_BUILDS)
    | st.lists(st.sampled_from(OF_PEOPLE), min_size=1, unique=True)
).flatmap(lambda names: st.tuples(st.just(names), st.sets(st.sampled_from(names), max_size=len(names) - 1)))
"""Which rules a policy has, and which of them may be in shadow."""


def written(names: list[str], shadowed: set[str]) -> bytes:
    """The document of these rules, all waivable, of which these are in shadow."""
    value = document()
    value["trust"].update(FURTHER_TRUST)
    by_id = {rule["id"]: rule for rule in (*value["rules"], *further_rules())}
    value["rules"] = [
        {**by_id[name], "waivable": True, **({"mode": "shadow"} if name in shadowed else {})} for name in names
    ]
    return encode(value)
