# SPDX-License-Identifier: Apache-2.0
"""Digest, provenance, signature, digests of components and licences: what an artifact is."""

from __future__ import annotations

from typing import Any

import pytest

from policy.artifact_facts import Licence
from policy.decision import Outcome
from policy.facts import Item
from policy.licence import LicenceError, satisfied
from policy.schema import PolicyError
from tests.policy.factory import built, inventory, policy, ran, signed, sole

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN

Case = tuple[str, dict[str, Any], tuple[Item, ...], Outcome, str]


def under(*licences: str | None) -> tuple[Licence, ...]:
    return tuple(
        Licence(expression=text, components=1, example=f"part-{number}") for number, text in enumerate(licences)
    )


def of(*licences: str | None) -> Item:
    return inventory(components=len(licences), licences=under(*licences))


DENY = {"allow": None, "deny": ["GPL-3.0-only", "AGPL-3.0-only WITH X-exception"]}
BOTH = {"allow": ["MIT", "GPL-2.0-only WITH Classpath-exception-2.0"], "deny": ["GPL-2.0-only"]}

CASES: dict[str, Case] = {
    "a digest that its builder names passes": ("ART-1", {}, (built(),), PASS, ""),
    "a digest that others name only is unknown": ("ART-1", {}, (ran(), inventory(), signed()), UNKNOWN, "no verified"),
    "a digest that a stranger names fails": ("ART-1", {}, (built(builder=None, key="stranger"),), FAIL, "key differs"),
    "provenance back to the source passes": ("ART-2", {}, (built(),), PASS, ""),
    "provenance without a commit is unknown": ("ART-2", {}, (built(commit=None),), UNKNOWN, "does not name commit"),
    "provenance without ref and end is unknown": ("ART-2", {}, (built(ref=None, finished=None),), UNKNOWN, "ref, end"),
    "provenance without a workflow is unknown": ("ART-2", {}, (built(workflow=None),), UNKNOWN, "workflow"),
    "provenance without a repository is unknown": ("ART-2", {}, (built(repository=None),), UNKNOWN, "repository"),
    "a stranger's provenance fails": ("ART-2", {}, (built(builder=None, key="stranger"),), FAIL, "the key differs"),
    "no provenance is unknown": ("ART-2", {}, (), UNKNOWN, "no verified provenance"),
    "a signature by an accepted signer passes": ("ART-3", {}, (signed(),), PASS, ""),
    "other attestations by the same key are none": ("ART-3", {}, (built(), inventory()), UNKNOWN, "no verified sig"),
    "a signature of another digest never counts": ("ART-3", {}, (signed(covers=(), bound="none"),), UNKNOWN, ""),
    "a submitted signature never counts": ("ART-3", {}, (signed(attested=False, key=None),), UNKNOWN, ""),
    "a stranger's signature fails": ("ART-3", {}, (signed(signer=None, key="stranger"),), FAIL, "no accepted signer's"),
    "facts that name a signer of another key fail": ("ART-3", {}, (signed(key="scanner"),), FAIL, "no accepted"),
    "an accepted signature beside a stranger's passes": (
        "ART-3",
        {},
        (signed(), signed("other", signer=None, key="stranger")),
        PASS,
        "",
    ),
    "components with digests pass": ("SBM-2", {}, (inventory(),), PASS, ""),
    "a component without a digest fails": ("SBM-2", {}, (inventory(undigested=1),), FAIL, "1 components carry no"),
    "as many without a digest as accepted pass": ("SBM-2", {"maxUndigested": 1}, (inventory(undigested=1),), PASS, ""),
    "one more than accepted fails": ("SBM-2", {"maxUndigested": 1}, (inventory(undigested=2),), FAIL, "2 components"),
    "digests that are not told are unknown": ("SBM-2", {}, (inventory(undigested=None),), UNKNOWN, "does not tell"),
    "an empty inventory is unknown": ("SBM-2", {}, (inventory(components=0),), UNKNOWN, "does not tell"),
    "the inventory received last decides": (
        "SBM-2",
        {},
        (inventory(), inventory("later", undigested=3, received=2)),
        FAIL,
        "3 components",
    ),
    "no inventory is unknown": ("SBM-2", {}, (), UNKNOWN, "no verified SBOM"),
    "a stranger's inventory fails": ("SBM-2", {}, (inventory(producer=None, key="stranger"),), FAIL, "no accepted"),
    "an accepted licence passes": ("LIC-1", {}, (inventory(),), PASS, ""),
    "another licence fails": ("LIC-1", {}, (of("MIT", "BSD-3-Clause"),), FAIL, '"BSD-3-Clause" of 1 components'),
    "a choice with an accepted side passes": ("LIC-1", {}, (of("MIT OR BSD-3-Clause"),), PASS, ""),
    "both of two need to be accepted": ("LIC-1", {}, (of("MIT AND BSD-3-Clause"),), FAIL, "MIT AND BSD"),
    "an exception permits more": ("LIC-1", {}, (of("MIT WITH Autoconf-exception-2.0"),), PASS, ""),
    "a licence or any later one is that licence": ("LIC-1", {}, (of("MIT+"),), PASS, ""),
    "a licence that nobody stated is unknown": ("LIC-1", {}, (of("MIT", None),), UNKNOWN, "no known licence of 1"),
    "an expression that cannot be read is unknown": ("LIC-1", {}, (of("MIT OR"),), UNKNOWN, '"MIT OR" of 1'),
    "a refused licence outweighs an unknown one": ("LIC-1", {}, (of(None, "BSD-3-Clause"),), FAIL, "BSD-3-Clause"),
    "no licence at all is not accepted": ("LIC-1", {}, (of("NONE"),), FAIL, '"NONE"'),
    "fewer licences than components are unknown": (
        "LIC-1",
        {},
        (inventory(components=2, licences=under("MIT")),),
        UNKNOWN,
        "states none for some",
    ),
    "an inventory of an older record is unknown": ("LIC-1", {}, (inventory(licences=()),), UNKNOWN, "states none"),
    "an empty inventory has no known licence": ("LIC-1", {}, (inventory(components=0, licences=()),), UNKNOWN, ""),
    "what is not denied passes": ("LIC-1", DENY, (of("BSD-3-Clause", "AGPL-3.0-only"),), PASS, ""),
    "what is denied fails": ("LIC-1", DENY, (of("GPL-3.0-only"),), FAIL, "GPL-3.0-only"),
    "an exception saves nothing denied": (
        "LIC-1",
        DENY,
        (of("GPL-3.0-only WITH GCC-exception-3.1"),),
        FAIL,
        "",
    ),
    "a choice beside what is denied passes": ("LIC-1", DENY, (of("GPL-3.0-only OR MIT"),), PASS, ""),
    "an exception alone can be denied": ("LIC-1", DENY, (of("AGPL-3.0-only WITH X-exception"),), FAIL, ""),
    "unknown is not let through where nothing is listed": ("LIC-1", DENY, (of(None),), UNKNOWN, "no known licence"),
    "denied stays denied": ("LIC-1", BOTH, (of("GPL-2.0-only"),), FAIL, ""),
    "an exception that is accepted by name outweighs": (
        "LIC-1",
        BOTH,
        (of("GPL-2.0-only WITH Classpath-exception-2.0"),),
        PASS,
        "",
    ),
    "the licences received last decide": (
        "LIC-1",
        {},
        (inventory(), inventory("later", licences=under("X"), components=1, received=2)),
        FAIL,
        '"X"',
    ),
}


@pytest.mark.parametrize(("rule", "changes", "items", "outcome", "text"), CASES.values(), ids=CASES)
def test_judges(rule: str, changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, text: str) -> None:
    finding = sole(policy(rule, **changes), *items)
    assert finding.outcome is outcome, finding
    assert text in finding.title


def test_refused_and_unknown_licences_are_offenders_by_name_so_that_one_can_be_waived_alone() -> None:
    finding = sole(policy("LIC-1"), of("MIT", "BSD-3-Clause", None))
    assert [(each.id, each.package) for each in finding.offenders] == [
        ("BSD-3-Clause", "part-1"),
        ("unknown", "part-2"),
    ]


def test_components_of_which_nothing_is_said_are_not_excused_with_a_refused_licence() -> None:
    refused = Licence(expression="SSPL-1.0", components=1, example="mongo-lite")
    offenders = sole(policy("LIC-1"), inventory(components=3, licences=(refused,))).offenders
    assert [each.id for each in offenders] == ["SSPL-1.0", "2 components without a licence"]
    (silent,) = sole(policy("LIC-1"), inventory(components=3, licences=())).offenders
    assert silent.id == "3 components without a licence"


def test_each_component_without_a_digest_can_be_waived_alone() -> None:
    finding = sole(policy("SBM-2"), inventory(undigested=2, bare=("left-pad", "zlib")))
    assert [each.id for each in finding.offenders] == ["left-pad", "zlib"]
    # One that cannot be told is no part of a list: then there is none, and a waiver is for what was found as a whole.
    assert sole(policy("SBM-2"), inventory(undigested=2)).offenders == ()


def test_licences_that_are_neither_allowed_nor_denied_demand_nothing() -> None:
    with pytest.raises(PolicyError, match="nothing is demanded"):
        policy("LIC-1", allow=None, deny=None)


def accepts_a(licence: str, exception: str | None) -> bool:
    return licence == "A" and exception in (None, "E")


EXPRESSIONS = {
    "A": True,
    "B": False,
    "A OR B": True,
    "B OR A": True,
    "A AND B": False,
    "B OR A AND A": True,
    "A OR B AND B": True,
    "(A OR B) AND B": False,
    "A AND (B OR A)": True,
    "A WITH E": True,
    "A WITH F": False,
    "((A))": True,
    "A AND (B OR (A AND A))": True,
}


@pytest.mark.parametrize(("expression", "expected"), EXPRESSIONS.items(), ids=EXPRESSIONS)
def test_an_expression_is_satisfied(expression: str, expected: bool) -> None:
    assert satisfied(expression, accepts_a) is expected


BROKEN = ["", "A A", "A OR", "OR A", "(A", "A)", "A WITH", "A WITH (E)", "()", "A/B", "A; B", "A" * 257, "(" * 200]


@pytest.mark.parametrize("expression", BROKEN)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(LicenceError):
        satisfied(expression, accepts_a)


def test_the_deepest_expression_is_read() -> None:
    assert satisfied("(" * 127 + "A" + ")" * 127, accepts_a)
