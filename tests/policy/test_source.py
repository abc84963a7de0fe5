# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import pytest

from policy.decision import Outcome
from policy.document import parse_policy
from policy.facts import Item
from tests.policy.factory import (
    COMMIT,
    REPOSITORY,
    ago,
    built,
    document,
    encode,
    policy,
    reviewed,
    sole,
)

PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN
THREE, FOUR = "SLSA_SOURCE_LEVEL_3", "SLSA_SOURCE_LEVEL_4"
TWO_PARTY = "SLSA_SOURCE_TWO_PARTY_REVIEWED"

Case = tuple[dict[str, Any], tuple[Item, ...], Outcome, str]

REF: dict[str, Case] = {
    "an accepted ref passes": ({}, (built(),), PASS, "from an accepted repository and ref"),
    "a tag by pattern passes": ({}, (built(ref="refs/tags/v1.2"),), PASS, ""),
    "a repository by pattern passes": ({"repositories": ["github.com/acme/*"]}, (built(),), PASS, ""),
    "another branch fails": ({}, (built(ref="refs/heads/evil"),), FAIL, 'the ref "refs/heads/evil" differs'),
    "a branch that begins like an accepted one fails": ({}, (built(ref="refs/heads/main2"),), FAIL, "the ref"),
    "another repository fails": (
        {},
        (built(repository="github.com/evil/shop"),),
        FAIL,
        'the repository "github.com/evil/shop" differs',
    ),
    "a repository that begins like the accepted one fails": ({}, (built(repository=f"{REPOSITORY}-evil"),), FAIL, ""),
    "repository and ref are both named when both differ": (
        {},
        (built(repository="github.com/evil/shop", ref="refs/heads/x"),),
        FAIL,
        'the repository "github.com/evil/shop" differs, the ref "refs/heads/x" differs',
    ),
    "a missing ref is unknown": ({}, (built(ref=None),), UNKNOWN, "does not name its repository and ref"),
    "a missing repository is unknown": ({}, (built(repository=None),), UNKNOWN, "does not name"),
    "another repository fails even without a ref": (
        {},
        (built(repository="github.com/evil/x", ref=None),),
        FAIL,
        "the repository",
    ),
    "no provenance is unknown": ({}, (), UNKNOWN, "no verified provenance"),
    "a source attestation is no provenance": ({}, (reviewed(),), UNKNOWN, "no verified provenance"),
    "untrusted provenance fails": ({}, (built(key="stranger"),), FAIL, "the builder id is trusted, the key differs"),
    "untrusted beside trusted does not matter": (
        {},
        (built(), built("evil", builder=None, ref="refs/heads/x", received=9)),
        PASS,
        "",
    ),
    "provenance bound to another digest never counts": ({}, (built(bound="none"),), UNKNOWN, ""),
}


@pytest.mark.parametrize(("changes", "items", "outcome", "title"), REF.values(), ids=REF)
def test_ref(changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, title: str) -> None:
    finding = sole(policy("SRC-1", **changes), *items)
    assert finding.outcome is outcome
    assert title in finding.title


def test_a_ref_finding_shows_what_the_provenance_states() -> None:
    assert sole(policy("SRC-1"), built(ref=None)).found == f'repository "{REPOSITORY}", ref not stated'


REVIEWS: dict[str, Case] = {
    "level and property as demanded pass": ({}, (built(), reviewed()), PASS, "reviewed and protected source"),
    "no source attestation is unknown": ({}, (built(),), UNKNOWN, f'no source attestation for commit "{COMMIT}"'),
    "no provenance is unknown": ({}, (reviewed(),), UNKNOWN, "no verified provenance"),
    "untrusted provenance joins nothing": ({}, (built(key="stranger"), reviewed()), FAIL, "the key differs"),
    "another commit is unknown": ({}, (built(), reviewed(commit="f" * 40)), UNKNOWN, "no source attestation"),
    "another repository is unknown": (
        {},
        (built(), reviewed(repository="github.com/evil/shop")),
        UNKNOWN,
        "no source attestation",
    ),
    "a provenance without commit joins nothing": (
        {},
        (built(commit=None), reviewed()),
        UNKNOWN,
        "does not name repository and commit",
    ),
    "a source attestation bound to the subject never counts": ({}, (built(), reviewed(bound="subject")), UNKNOWN, ""),
    "a source attestation bound to nothing never counts": (
        {},
        (built(), reviewed(bound="none", covers=())),
        UNKNOWN,
        "no source attestation",
    ),
    "a submitted source attestation never counts": ({}, (built(), reviewed(attested=False)), UNKNOWN, ""),
    "another key fails": (
        {},
        (built(), reviewed(collector=None, key="builder")),
        FAIL,
        "the verifier id is trusted, the key differs",
    ),
    "another verifier id fails": (
        {},
        (built(), reviewed(collector=None, verifier="https://evil.invalid")),
        FAIL,
        "the key is trusted, the verifier id differs",
    ),
    "facts that name a collector of another key fail": (
        {},
        (built(), reviewed(key="builder")),
        FAIL,
        "the key differs",
    ),
    "neither key nor verifier fails": (
        {},
        (built(), reviewed(collector=None, key="builder", verifier="https://evil.invalid")),
        FAIL,
        "the key and the verifier id differ",
    ),
    "a failed source verification fails": ({}, (built(), reviewed(result="FAILED")), FAIL, 'ended "FAILED"'),
    "a lower level fails": (
        {},
        (built(), reviewed(levels=("SLSA_SOURCE_LEVEL_2", TWO_PARTY))),
        FAIL,
        "the source level is 2",
    ),
    "no level fails": ({}, (built(), reviewed(levels=(TWO_PARTY,))), FAIL, "no source level is stated"),
    "two levels count as the lower one": (
        {},
        (built(), reviewed(levels=("SLSA_SOURCE_LEVEL_1", FOUR, TWO_PARTY))),
        FAIL,
        "the source level is 1",
    ),
    "a missing property fails": ({}, (built(), reviewed(levels=(THREE,))), FAIL, f"{TWO_PARTY} is not stated"),
    "level 4 includes two-party review": ({}, (built(), reviewed(levels=(FOUR,))), PASS, ""),
    "a level that does not exist is none": (
        {},
        (built(), reviewed(levels=("SLSA_SOURCE_LEVEL_9",))),
        FAIL,
        "no source",
    ),
    "a property of the organisation": (
        {"atLeast": None, "properties": ["ORG_SOURCE_SIGNED"]},
        (built(), reviewed(levels=("ORG_SOURCE_SIGNED",))),
        PASS,
        "",
    ),
    "the property alone": (
        {"atLeast": None},
        (built(), reviewed(levels=(TWO_PARTY,))),
        PASS,
        "",
    ),
    "an accepted ref of the source": ({"refs": ["refs/heads/main"]}, (built(), reviewed()), PASS, ""),
    "another ref of the source fails": (
        {"refs": ["refs/heads/main"]},
        (built(), reviewed(refs=("refs/heads/dev",))),
        FAIL,
        'the ref "refs/heads/dev" differs',
    ),
    "a source that names no ref is unknown": (
        {"refs": ["refs/heads/main"]},
        (built(), reviewed(refs=())),
        UNKNOWN,
        "does not say for which ref it speaks",
    ),
    "an old attestation fails": ({}, (built(), reviewed(verified=ago(days=8))), FAIL, "8d old"),
    "a future attestation fails": ({}, (built(), reviewed(verified=ago(hours=-1))), FAIL, "lies in the future"),
    "an undated attestation passes without maxAge": ({}, (built(), reviewed(verified=None)), PASS, ""),
    "an undated attestation is unknown with maxAge": (
        {"maxAge": "3d"},
        (built(), reviewed(verified=None)),
        UNKNOWN,
        "when the source was verified",
    ),
}


@pytest.mark.parametrize(("changes", "items", "outcome", "title"), REVIEWS.values(), ids=REVIEWS)
def test_reviews(changes: dict[str, Any], items: tuple[Item, ...], outcome: Outcome, title: str) -> None:
    finding = sole(policy("SRC-2", **changes), *items)
    assert finding.outcome is outcome
    assert title in finding.title


def test_a_review_is_counted_together_with_the_provenance_that_joins_it() -> None:
    provenance, review = built(), reviewed()
    finding = sole(policy("SRC-2"), provenance, review)
    assert finding.evidence == (review.origin.digest, provenance.origin.digest)
    assert finding.bound == "source"


def test_one_of_two_accepted_collectors_is_enough_and_the_other_differs_in_one_part() -> None:
    value = document()
    value["trust"]["collectors"]["mirror"] = {"key": "other", "verifier": "https://dev.invalid/mirror"}
    value["rules"] = [{**rule, "collectors": ["mirror", "forge"]} for rule in value["rules"] if rule["id"] == "SRC-2"]
    judged = parse_policy(encode(value))
    assert sole(judged, built(), reviewed()).outcome is PASS
    crossed = sole(judged, built(), reviewed(collector=None, key="other"))
    assert crossed.outcome is FAIL
    assert "the key is trusted, the verifier id differs" in crossed.title
    foreign = sole(judged, built(), reviewed(collector=None, key="stranger"))
    assert "the verifier id is trusted, the key differs" in foreign.title
