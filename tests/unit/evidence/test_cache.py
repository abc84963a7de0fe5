# SPDX-License-Identifier: Apache-2.0
"""What was verified once is remembered under the bytes and the version of the policy, within bounds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from policy import library
from policy.document import Policy, parse_policy
from signer.dev.attestations import BUILDER_ID, REPOSITORY, VERIFIER_ID, attest, suite_statement
from signer.evidence.cache import VerifiedCache
from signer.evidence.verifier import VerifiedAttestation
from signer.formats.spki import spki_pem
from tests.unit.evidence.factory import BUILDER, SCANNER, SHOP, SOURCE, STRANGER, verified

BASE = verified(attest(suite_statement([SHOP]), BUILDER))


def policy(name: str = "demo", *, builder: str = spki_pem(BUILDER.public_key())) -> Policy:
    text = library.render(
        "better",
        name=name,
        builder_id=BUILDER_ID,
        builder_key=builder,
        scanner_key=spki_pem(SCANNER.public_key()),
        source_key=spki_pem(SOURCE.public_key()),
        source_verifier=VERIFIER_ID,
        repository=REPOSITORY,
    )
    return parse_policy(text)


DEMO, CHANGED, OTHER = policy(), policy(builder=spki_pem(STRANGER.public_key())), policy("other")


def item(number: int) -> VerifiedAttestation:
    return replace(BASE, digest=f"{number:064x}")


def filled(cache: VerifiedCache, *numbers: int, size: int = 1) -> VerifiedCache:
    for number in numbers:
        cache.keep(item(number), size=size, policy=DEMO)
    return cache


def kept(cache: VerifiedCache, *numbers: int, under: Policy = DEMO) -> list[int]:
    return [number for number in numbers if cache.find(item(number).digest, policy=under) is not None]


def test_the_same_bytes_under_the_same_policy_are_found_again() -> None:
    cache = filled(VerifiedCache(), 1)
    assert cache.find(item(1).digest, policy=DEMO) == item(1)
    assert cache.find(item(2).digest, policy=DEMO) is None


def test_another_policy_finds_nothing_of_this_one() -> None:
    cache = filled(VerifiedCache(), 1)
    assert kept(cache, 1, under=OTHER) == []
    assert kept(cache, 1) == [1]


def test_another_version_drops_everything_and_so_does_the_way_back() -> None:
    cache = filled(VerifiedCache(), 1, 2)
    cache.keep(item(3), size=1, policy=OTHER)
    assert kept(cache, 1, under=CHANGED) == []
    assert len(cache) == 1, "only what the other policy verified is left"
    assert kept(cache, 1, 2) == []
    assert kept(cache, 3, under=OTHER) == [3]


def test_an_answer_that_comes_late_under_an_older_version_is_never_given_under_the_newer() -> None:
    cache = filled(VerifiedCache(), 1)
    cache.find(item(1).digest, policy=CHANGED)
    filled(cache, 1)
    assert kept(cache, 1, under=CHANGED) == []


def test_the_longest_unused_is_forgotten_first() -> None:
    cache = filled(VerifiedCache(most_items=3), 1, 2, 3)
    assert kept(cache, 1) == [1]
    filled(cache, 4)
    assert kept(cache, 1, 2, 3, 4) == [1, 3, 4]


def test_the_bytes_are_bounded_too() -> None:
    cache = filled(VerifiedCache(most_bytes=10), 1, 2, 3, size=4)
    assert kept(cache, 1, 2, 3) == [2, 3]
    cache.keep(item(2), size=4, policy=DEMO)
    assert kept(cache, 2, 3) == [2, 3], "the same one again takes no more room"
    cache.keep(item(5), size=11, policy=DEMO)
    assert len(cache) == 0, "one beyond the bound does not fit at all"
    assert kept(filled(cache, 6, 7, size=5), 6, 7) == [6, 7], "and its bytes are given back"


def test_hits_and_misses_are_told() -> None:
    told: list[bool] = []
    cache = VerifiedCache(count=told.append)
    kept(filled(cache, 1), 1, 2)
    assert told == [True, False]


@pytest.mark.parametrize("policies", [(DEMO,), (DEMO, CHANGED, OTHER)], ids=["one policy", "policies that change"])
def test_threads_never_break_its_bounds_or_its_answers(policies: tuple[Policy, ...]) -> None:
    cache = VerifiedCache(most_items=8, most_bytes=40)

    def use(start: int) -> None:
        for step in range(400):
            number, under = (start * 7 + step) % 16, policies[step % len(policies)]
            found = cache.find(item(number).digest, policy=under)
            assert found is None or found == replace(item(number), keys=(under.digest,))
            cache.keep(replace(item(number), keys=(under.digest,)), size=5, policy=under)
            assert len(cache) <= 8

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))
    assert cache._bytes == 5 * len(cache)
