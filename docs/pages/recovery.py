# SPDX-License-Identifier: Apache-2.0
"""The contract of recovery: what each fault at each call leads to, from the functions that the fault suite tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from docs.pages.source import table
from signer.keys.backend import Scope
from signer.keys.faults import AWS_KMS, BOTOCORE, KMS_UNKNOWN, PKCS11, UNKNOWN, Meaning
from signer.keys.recovery import (
    KMS_CALLS,
    KMS_MISHAPS,
    MISHAPS,
    TOKEN_CALLS,
    Answer,
    Call,
    Cell,
    Mishap,
    Recovery,
    cell,
)

HEAD = """\
# Recovery

What happens when a call to a device goes wrong, for every error at every call. Each cell says what the caller is told
whose request met the fault, then what brings the key back. The fault suite runs every cell on a real custodian
(`make faults`; a sample in `make test`), and holds it to this:

- no signature leaves that is not the pinned key's;
- no request gets two signatures, and none that is *unknown* is ever signed again;
- every ALLOW ends in exactly one outcome leaf, and the ledger knows of every signature that the device made;
- every request is answered within the deadlines;
- within five seconds of the fault's end the key signs again, with no restart by hand. Only where a cell says *a person*
  it refuses until that person has acted.

A fault counts as over when the device answers again; a call that hangs, when its worker is ended at the deadline.

## What the cells say

{answers}
{recoveries}
A worker is replaced within moments; while none can log in, the pause before the next attempt doubles up to two seconds.
A key that is out of service is looked at once a second, and every two seconds by a new session, as an old one may never
see what came back; it serves again only as the pinned key. Where *a person* stands beside an error about the PIN: write
the right PIN into the token's PIN file, or touch it. Nobody logs in before that.
"""


def render() -> str:
    """The whole page."""
    token = {**PKCS11, "any other": UNKNOWN}
    kms = {**AWS_KMS, "any other": KMS_UNKNOWN}
    return "\n".join(
        [
            HEAD.format(
                answers=_legend("the caller", [(each.value, _ANSWER[each]) for each in Answer]),
                recoveries=_legend("the key is back by", [(each.value, _RECOVERY[each]) for each in Recovery]),
            ),
            "## PKCS #11: errors\n\nNames of python-pkcs11: `DeviceError` is `CKR_DEVICE_ERROR`.\n",
            _errors(token, TOKEN_CALLS),
            "## PKCS #11: what no error tells of\n",
            _mishaps(MISHAPS, TOKEN_CALLS),
            "## AWS KMS: errors\n",
            _errors(kms, KMS_CALLS),
            "## AWS KMS: calls without an answer (exceptions of botocore)\n",
            _errors(BOTOCORE, KMS_CALLS),
            "## AWS KMS: what no error tells of\n",
            _mishaps(KMS_MISHAPS, KMS_CALLS),
        ]
    )


_RECOVERY: Mapping[Recovery, str] = {
    Recovery.NOTHING: "nothing is out of service",
    Recovery.PAUSE: "0.2 s, doubling to 3.2 s while the device goes on to throttle",
    Recovery.LOOK: "other keys go on",
    Recovery.WORKER: "it logs in and finds every key anew, each compared with its pin",
    Recovery.PERSON: "refused until somebody has acted",
}
_ANSWER: Mapping[Answer, str] = {
    Answer.REFUSED: "503 before anything is decided; one that was allowed already ends as *failed*. No key was called",
    Answer.FAILED: "503; the outcome leaf says *failed*: nothing was signed",
    Answer.REPEATED: "the answer proves that nothing was signed: tried once more, counted as another attempt",
    Answer.UNKNOWN: "409 `outcome-unknown`; what may have been signed is dropped, and never signed again",
    Answer.HALTED: "503, then 423 `halted`: the key is not the pinned one",
    Answer.NOBODY: "a probe met it, and no request",
}


def _legend(head: str, rows: Sequence[tuple[str, str]]) -> str:
    return table((head, "means"), [(f"*{name}*", text) for name, text in rows])


def _errors(errors: Mapping[str, Meaning], calls: Sequence[Call]) -> str:
    order = list(Scope)
    rows = sorted(errors.items(), key=lambda entry: (order.index(entry[1].scope), entry[0]))
    return table(
        ("error", *calls),
        [
            (f"`{name}`" if name != "any other" else name, *(_cell(cell(meaning, call)) for call in calls))
            for name, meaning in rows
        ],
    )


def _mishaps(mishaps: Sequence[Mishap], calls: Sequence[Call]) -> str:
    return table(
        ("what happens", *calls, "what a person does"),
        [
            (each.name, *(_cell(each.cells[call]) if call in each.cells else "" for call in calls), each.person)
            for each in mishaps
        ],
    )


def _cell(found: Cell) -> str:
    return f"{found.answer}; {found.recovery}"
