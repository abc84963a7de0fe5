# SPDX-License-Identifier: Apache-2.0
"""Token buckets: what a principal may use up, and when there is more."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from signer.domain.principal import Principal
from signer.errors import Unavailable
from signer.identity.access import Quota
from signer.web.quotas import Quotas

CI = Principal("robot", "ci")
OTHER = Principal("robot", "other")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def granted(quotas: Quotas, quota: Quota, *, attempts: int, principal: Principal = CI) -> int:
    count = 0
    for _ in range(attempts):
        try:
            quotas.take_request(principal, quota)
        except Unavailable:
            continue
        count += 1
    return count


def test_a_minute_grants_its_requests_and_no_more(clock: Clock) -> None:
    quotas, quota = Quotas(workers=1, monotonic=clock), Quota(10, 0)
    assert granted(quotas, quota, attempts=50) == 10
    clock.now += 30
    assert granted(quotas, quota, attempts=50) == 5
    clock.now += 3600
    assert granted(quotas, quota, attempts=50) == 10


def test_each_worker_grants_its_share(clock: Clock) -> None:
    quota = Quota(10, 0)
    assert granted(Quotas(workers=4, monotonic=clock), quota, attempts=50) == 2


def test_a_small_quota_does_not_become_none(clock: Clock) -> None:
    assert granted(Quotas(workers=8, monotonic=clock), Quota(1, 0), attempts=5) == 1


def test_one_principal_does_not_use_up_what_is_anothers(clock: Clock) -> None:
    quotas, quota = Quotas(workers=1, monotonic=clock), Quota(3, 0)
    assert granted(quotas, quota, attempts=9) == 3
    assert granted(quotas, quota, attempts=9, principal=OTHER) == 3


def test_the_refusal_says_when_there_is_enough_again(clock: Clock) -> None:
    quotas, quota = Quotas(workers=1, monotonic=clock), Quota(6, 0)
    granted(quotas, quota, attempts=6)
    with pytest.raises(Unavailable) as refused:
        quotas.take_request(CI, quota)
    assert (refused.value.code, refused.value.retry_after) == ("over-quota", 10)
    clock.now += refused.value.retry_after
    quotas.take_request(CI, quota)


def test_bytes_are_refilled_within_a_day(clock: Clock) -> None:
    quotas, quota = Quotas(workers=1, monotonic=clock), Quota(1, 1000)
    quotas.take_evidence(CI, quota, 600)
    with pytest.raises(Unavailable):
        quotas.take_evidence(CI, quota, 600)
    clock.now += 86_400 / 2
    quotas.take_evidence(CI, quota, 600)


def test_no_bytes_cost_nothing(clock: Clock) -> None:
    Quotas(workers=1, monotonic=clock).take_evidence(CI, Quota(1, 0), 0)


@given(st.lists(st.floats(min_value=0, max_value=120), max_size=60))
def test_no_pattern_of_asking_gets_more_than_one_minute_ahead(pauses: list[float]) -> None:
    clock = Clock()
    quotas, quota = Quotas(workers=1, monotonic=clock), Quota(12, 0)
    begun, count = clock.now, 0
    for pause in pauses:
        clock.now += pause
        count += granted(quotas, quota, attempts=3)
        assert count <= 12 + 12 * (clock.now - begun) / 60 + 1e-6
