# SPDX-License-Identifier: Apache-2.0
"""What each error of a token or of AWS KMS leads to, from the one table that decides it."""

from __future__ import annotations

from collections.abc import Mapping

from docs.pages.source import table
from signer.keys.backend import CONFIGURATION, Scope
from signer.keys.faults import AWS_KMS, BOTOCORE, PKCS11, Meaning

HEAD = """\
# Errors of devices

What a token or AWS KMS answers, and what follows. The outcome counts when the error ends a signature: *failed* is
written where the answer proves that nothing was signed, *unknown* where it does not. An error that is not listed is
taken as the worst: *unknown*, and for a token a new worker. What is tried again counts as another attempt in the
outcome leaf. [Recovery](recovery.md) says what each error leads to at each call.

| reach | what happens | tried again |
|---|---|---|
| call | this request fails, nothing else | no |
| busy | the key pauses (0.2 s, doubling to 3.2 s); callers get 503 `key-throttled` | once, after the pause |
| key | this key is out of service, other keys go on; looked at again every second, and compared with its pin | no |
| session | the worker ends; a new one logs in and finds every key anew | once, by the new worker |
| module | the same, after the process was ended from outside where it hangs | only where nothing was signed |
| never | nobody logs in again before the PIN file is written or touched, not even after a restart | no |

"""

START = """
Codes that end a custodian's start, and `signer keys create`, with exit code 78: {codes}.
"""


def render() -> str:
    """The whole page."""
    parts = [HEAD + START.format(codes=", ".join(f"`{code}`" for code in sorted(CONFIGURATION)))]
    for title, errors in (
        ("PKCS #11 (names of python-pkcs11: `DeviceError` is `CKR_DEVICE_ERROR`)", PKCS11),
        ("AWS KMS (codes of its answers)", AWS_KMS),
        ("AWS KMS without an answer (exceptions of botocore)", BOTOCORE),
    ):
        parts.append(f"## {title}\n\n{_rows(errors)}")
    return "\n".join(parts)


def _rows(errors: Mapping[str, Meaning]) -> str:
    order = list(Scope)
    rows = sorted(errors.items(), key=lambda entry: (order.index(entry[1].scope), entry[0]))
    return table(
        ("error", "reach", "outcome", "code", "remedy"),
        [
            (
                f"`{name}`",
                meaning.scope.value,
                "unknown" if meaning.touched else "failed",
                f"`{meaning.code}`",
                meaning.remedy,
            )
            for name, meaning in rows
        ],
    )
