# SPDX-License-Identifier: Apache-2.0
"""Between a signature that its token worker has verified and the outcome leaf: an RFC 3161 timestamp over it.

    all signed ▸ one timestamp for each ▸ all there, or the policy can do without ▸ outcome leaf

A crash here leaves an ALLOW without outcome, which the sweep closes as unknown: nothing was released.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import count

from policy.document import Environment
from signer.custodian.protocols import Tokens
from signer.custodian.records import Flight, Stamping
from signer.custodian.standing import Standing
from signer.custodian.token_events import Stamped, StampJob
from signer.errors import Unavailable

REQUIRED = "required"
GRANTED = "granted"
FAILED = "failed"


def stamping_of(
    environment: Environment, *, standing: Standing, hindrance: Callable[[], Unavailable | None], now: datetime
) -> Stamping | None:
    """How the signatures of an environment are timestamped; None when they are not.

    Raises Unavailable("timestamp-unavailable") when they must be and cannot be now: nothing is decided then.
    """
    if environment.timestamp is None:
        return None
    authorities = () if standing.trust is None else standing.trust.timestamp_authorities
    chains = tuple(each.certificates for each in authorities if each.covers(now))
    fault = hindrance()
    if fault is None and not chains:
        fault = Unavailable(
            "timestamp-unavailable",
            "the trust document in force pins no timestamp authority at this instant",
            remedy="the owners sign one that does: signer trust draft --timestamp-authority FILE",
        )
    required = environment.timestamp == REQUIRED
    if fault is not None and required:
        raise fault
    return Stamping(required=required, chains=() if fault is not None else chains)


class Stamps:
    """The timestamps that are asked for."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._tickets = count(1)
        self._jobs: dict[int, tuple[Flight, int]] = {}

    def begin(self, flight: Flight) -> bool:
        """Ask for one timestamp over each signature of a flight whose keys all signed; False when none is needed."""
        stamping = flight.stamping
        if stamping is None or not stamping.chains or any(end.status != "signed" for end in flight.ended.values()):
            return False
        for position, end in flight.ended.items():
            ticket = next(self._tickets)
            self._jobs[ticket] = (flight, position)
            self._tokens.stamp(StampJob(ticket=ticket, signature=end.signature, chains=stamping.chains))
        return True

    def hear(self, event: Stamped) -> Flight | None:
        """Take the end of one question; the flight when it was the last one of it."""
        flight, position = self._jobs.pop(event.ticket)
        flight.stamped[position] = event
        return flight if len(flight.stamped) == len(flight.outputs) else None


def missing(flight: Flight) -> str | None:
    """Why a flight that needs its timestamps has not got them all; None when it may be released."""
    if flight.stamping is None or not flight.stamping.required:
        return None
    return next((event.detail for event in flight.stamped.values() if not event.response), None)


def found(flight: Flight, position: int) -> tuple[str, tuple[bytes, ...]]:
    """What the outcome leaf says of one signature's timestamp, and the timestamps that its bundle carries."""
    if flight.stamping is None or (flight.stamping.chains and not flight.stamped):
        # None was asked for: a key call before it did not end well.
        return "", ()
    event = flight.stamped.get(position)
    return (GRANTED, (event.response,)) if event is not None and event.response else (FAILED, ())
