# SPDX-License-Identifier: Apache-2.0
"""The contract of recovery: for each fault at each call, what the caller is told and what brings the key back.

It follows from what the fault means (`signer.keys.faults`) and from the call it met. The reference page shows it, and
the fault suite runs every cell of it on a real custodian.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from signer.keys.backend import Scope
from signer.keys.faults import Meaning


class Call(StrEnum):
    """What the custodian does with a device."""

    OPEN = "open"
    """Load and initialise the module, find the token, open a session."""
    LOGIN = "login"
    """Show the PIN."""
    FIND = "find key"
    """Look for the mechanism and for exactly one key pair; DescribeKey of AWS KMS."""
    READ = "read public key"
    """Read what the key is, and compare it with its pin; GetPublicKey of AWS KMS."""
    SIGN = "sign"
    """For a request whose ALLOW is durable."""
    PROBE = "probe"
    """A signature over bytes that say nothing, to see that the key can."""


TOKEN_CALLS = tuple(Call)
KMS_CALLS = (Call.FIND, Call.READ, Call.SIGN, Call.PROBE)


class Answer(StrEnum):
    """What the caller is told whose request met the fault."""

    REFUSED = "refused"
    """503 before anything is decided; one whose ALLOW was durable already ends as failed. No key was called."""
    FAILED = "failed"
    """503; the outcome leaf says that nothing was signed."""
    REPEATED = "once more, then failed"
    """Tried once more, as the answer proves that nothing was signed; signed when that went well, else failed."""
    UNKNOWN = "unknown"
    """409 `outcome-unknown`; whatever was signed is dropped, and never signed again."""
    HALTED = "failed, and all signing halts"
    """503, then 423: the key is not the pinned one."""
    NOBODY = "nobody waits"
    """No request met it; a probe is counted as failed, and after the second in a row the key is not ready."""


class Recovery(StrEnum):
    """What brings the key back once the fault is over."""

    NOTHING = "nothing is needed"
    PAUSE = "the pause ends"
    LOOK = "a look at the key, once a second"
    WORKER = "a new worker"
    PERSON = "a person"

    @property
    def by_itself(self) -> bool:
        """Within five seconds of the fault's end, with no restart by hand."""
        return self is not Recovery.PERSON


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault at one call."""

    answer: Answer
    recovery: Recovery


_RECOVERIES: Mapping[Scope, Recovery] = {
    Scope.CALL: Recovery.NOTHING,
    Scope.BUSY: Recovery.PAUSE,
    Scope.KEY: Recovery.LOOK,
    Scope.SESSION: Recovery.WORKER,
    Scope.MODULE: Recovery.WORKER,
    Scope.NEVER: Recovery.PERSON,
}


def cell(meaning: Meaning, call: Call) -> Cell:
    """What an error of this meaning leads to at `call`."""
    never = meaning.scope is Scope.NEVER
    match call:
        case Call.OPEN | Call.LOGIN:
            # Without a session there is no worker, whatever the error would mean later.
            return Cell(Answer.REFUSED, Recovery.PERSON if never else Recovery.WORKER)
        case Call.FIND | Call.READ:
            # A key that was not found is out of service, whatever the error would mean later.
            scoped = meaning.scope in (Scope.CALL, Scope.BUSY, Scope.KEY)
            return Cell(Answer.REFUSED, Recovery.LOOK if scoped else _RECOVERIES[meaning.scope])
        case Call.SIGN:
            return Cell(_signing(meaning), _RECOVERIES[meaning.scope])
        case Call.PROBE:
            return Cell(Answer.NOBODY, _RECOVERIES[meaning.scope])


def _signing(meaning: Meaning) -> Answer:
    if meaning.touched:
        return Answer.UNKNOWN
    if meaning.scope in (Scope.BUSY, Scope.SESSION, Scope.MODULE):
        return Answer.REPEATED
    return Answer.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """What no error code tells of."""

    name: str
    cells: Mapping[Call, Cell]
    person: str = ""
    """What a person does, where one is needed."""


def _at(calls: tuple[Call, ...], answer: Answer, recovery: Recovery) -> Mapping[Call, Cell]:
    return dict.fromkeys(calls, Cell(answer, recovery))


_BEFORE = (Call.OPEN, Call.LOGIN, Call.FIND, Call.READ)
_DIES: Mapping[Call, Cell] = {
    **_at(_BEFORE, Answer.REFUSED, Recovery.WORKER),
    Call.SIGN: Cell(Answer.UNKNOWN, Recovery.WORKER),
    Call.PROBE: Cell(Answer.NOBODY, Recovery.WORKER),
}

HANGS = Mishap(name="the module hangs (its fault ends with the deadline, `custodian.token_deadline`)", cells=_DIES)
CRASHES = Mishap(name="the module crashes", cells=_DIES)
WRONG = Mishap(
    name="a signature that is not the pinned key's",
    cells={
        Call.SIGN: Cell(Answer.HALTED, Recovery.PERSON),
        Call.PROBE: Cell(Answer.NOBODY, Recovery.PERSON),
    },
    person="the owners resume, once they know why",
)
EMPTY = Mishap(
    name="no signature, and no error",
    cells={
        Call.SIGN: Cell(Answer.UNKNOWN, Recovery.WORKER),
        Call.PROBE: Cell(Answer.NOBODY, Recovery.WORKER),
    },
)
REMOVED = Mishap(
    name="the token is taken away, and put back", cells=_at((Call.SIGN,), Answer.REPEATED, Recovery.WORKER)
)
ANOTHER_KEY = Mishap(
    name="the token is made anew, with another key of the same label and id",
    cells=_at((Call.SIGN,), Answer.HALTED, Recovery.PERSON),
    person="restore the recorded key; then the owners resume",
)
INITIALISED = Mishap(
    name="the token is initialised anew with the same PIN, and the key restored",
    cells=_at((Call.SIGN,), Answer.REPEATED, Recovery.LOOK),
)
DELETED = Mishap(name="the key is deleted, and restored", cells=_at((Call.SIGN,), Answer.REPEATED, Recovery.LOOK))
WRONG_PIN = Mishap(
    name="another PIN than the token's (one login, none after it)",
    cells=_at((Call.LOGIN,), Answer.REFUSED, Recovery.PERSON),
    person="write the right PIN into the PIN file",
)
KMS_SILENT = Mishap(
    name="no answer in time (`aws_kms.read_timeout`), or a connection that ends",
    cells={
        **_at((Call.FIND, Call.READ), Answer.REFUSED, Recovery.LOOK),
        Call.SIGN: Cell(Answer.UNKNOWN, Recovery.LOOK),
        Call.PROBE: Cell(Answer.NOBODY, Recovery.LOOK),
    },
)
KMS_ANOTHER_KEY = Mishap(
    name="another key answers, or signs, under the name of the recorded one",
    cells={
        Call.READ: Cell(Answer.HALTED, Recovery.PERSON),
        Call.SIGN: Cell(Answer.HALTED, Recovery.PERSON),
        Call.PROBE: Cell(Answer.NOBODY, Recovery.PERSON),
    },
    person="point the alias back at the recorded key; then the owners resume",
)
KMS_ANOTHER_ALGORITHM = Mishap(
    name="a signature by another algorithm", cells=_at((Call.SIGN,), Answer.UNKNOWN, Recovery.LOOK)
)
KMS_EMPTY = Mishap(
    name="no signature, and no error",
    cells=_at((Call.SIGN,), Answer.HALTED, Recovery.PERSON),
    person="the owners resume, once they know why",
)
KMS_MISHAPS = (KMS_SILENT, KMS_ANOTHER_KEY, KMS_ANOTHER_ALGORITHM, KMS_EMPTY)
"""Every mishap of AWS KMS that is no error code."""
MISHAPS = (HANGS, CRASHES, WRONG, EMPTY, REMOVED, INITIALISED, DELETED, ANOTHER_KEY, WRONG_PIN)
"""Every mishap of a PKCS #11 token that is no error code."""
