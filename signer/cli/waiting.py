# SPDX-License-Identifier: Apache-2.0
"""Asking again while people have to approve: the same bytes under the same key, until they have or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import click

from signer.cli.output import clean
from signer.client.problem import Answered, Problem

WAITING = 202
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0


class Asks(Protocol):
    """What sends a request."""

    def sign(self, request: bytes, *, idempotency_key: str) -> bytes:
        """The receipt; raises Answered."""


def send(
    client: Asks,
    request: bytes,
    *,
    idempotency_key: str,
    wait: timedelta,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bytes:
    """The receipt; raises Answered for everything else, and for a hold once `wait` is over."""
    end, pause, told = clock() + wait.total_seconds(), FIRST_PAUSE, ""
    while True:
        try:
            return client.sign(request, idempotency_key=idempotency_key)
        except Answered as fault:
            if fault.problem.status != WAITING or clock() + pause > end:
                raise
            story = _story(fault.problem)
        if story != told:
            click.echo(story, err=True)
            told = story
        sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _story(problem: Problem) -> str:
    titles = [str(each.get("title")) for each in problem.violations]
    what = "; ".join(titles) or problem.detail
    return clean(f"waiting: {what} (signer approve {problem.request_id})")
