# SPDX-License-Identifier: Apache-2.0
"""What the custodian and a token worker say to each other, over a socket pair, in frames.

    custodian → worker   start, then sign (several jobs), locate
    worker → custodian   progress, ready or fault, then signed (several results), located

A job carries a key's input (a digest; the message itself for Ed25519 alone), the place of the key and its pin;
never a name to resolve.
"""

from __future__ import annotations

import msgspec

from signer.domain.algorithm import Algorithm
from signer.keys.devices import Device

MAX_FRAME = 1024 * 1024
BOARD_SIZE = 16
"""The shared board: 8 bytes little-endian `started` (written by the worker right before each key call), then one
byte `stop` (written by the custodian when signing is halted) and 7 unused bytes."""
BOARD_STOP = 8


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all messages: immutable, keyword-only, closed."""


class Start(_Message, frozen=True, kw_only=True, tag="start"):
    """First message: where the device is. The worker reads PINs and credentials from their files itself."""

    device: Device
    keys: tuple[tuple[str, Algorithm, bytes], ...]
    """(uri, algorithm, pinned SPKI) of each key to find at once."""


class Job(_Message, frozen=True, kw_only=True, tag="job"):
    """One input to sign; `number` grows by one with each job that this worker gets."""

    number: int
    uri: str
    algorithm: Algorithm
    spki: bytes
    data: bytes
    """As `signer.domain.algorithm.key_input` makes it."""
    begin_by: int
    """CLOCK_MONOTONIC nanoseconds after which the key must not be called any more."""


class Sign(_Message, frozen=True, kw_only=True, tag="sign"):
    """Jobs in order."""

    jobs: tuple[Job, ...]


class Locate(_Message, frozen=True, kw_only=True, tag="locate"):
    """Find the key at `uri`, or make it when it is missing and `generate` says so."""

    uri: str
    algorithm: Algorithm
    generate: bool


class Problem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why one key cannot be used."""

    uri: str
    code: str
    detail: str
    remedy: str


class Progress(_Message, frozen=True, kw_only=True, tag="progress"):
    """The worker is about to open the device, or to look at its next key: from here on silence is a hang."""


class Ready(_Message, frozen=True, kw_only=True, tag="ready"):
    """Logged in; what was found of each key."""

    found: tuple[tuple[str, str], ...]
    """(uri, how it is protected) of each key that can be used."""
    problems: tuple[Problem, ...]
    """Of each key that cannot."""


class Result(_Message, frozen=True, kw_only=True, tag="result"):
    """How one job ended."""

    number: int
    signature: bytes
    """Verified under the pin; empty when the job failed."""
    code: str
    """Empty when signed; otherwise the slug of the fault."""
    detail: str
    remedy: str
    scope: str
    touched: bool
    """The key may have been used although no signature came out."""


class Signed(_Message, frozen=True, kw_only=True, tag="signed"):
    """Results in the order of their jobs."""

    results: tuple[Result, ...]
    elapsed: int
    """Nanoseconds that the worker spent on them: what the custodian's own turns take does not count."""


class Located(_Message, frozen=True, kw_only=True, tag="located"):
    """The key that stands at a URI; `spki` is empty when none can be used."""

    uri: str
    spki: bytes
    protection: str
    code: str
    detail: str
    remedy: str


class Fault(_Message, frozen=True, kw_only=True, tag="fault"):
    """The worker cannot go on and ends after this."""

    code: str
    detail: str
    scope: str
    remedy: str


ToWorker = Start | Sign | Locate
FromWorker = Progress | Ready | Signed | Located | Fault
