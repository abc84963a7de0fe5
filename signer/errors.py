# SPDX-License-Identifier: Apache-2.0
"""Every error that may cross a room's door.

    SignerError                 code, detail, remedy
    ├── Malformed               the caller's bug: fix the request and send it again
    ├── Refused                 understood and decided against
    ├── Unavailable             cannot decide or sign now: try again later
    └── Misconfigured           the operator's bug: the process ends with exit code 78

`code` is a stable slug. It becomes the problem type `urn:signing-authority:problem:<code>` in HTTP
answers; only `signer.web.problems` knows HTTP statuses and only `signer.cli` knows exit codes.
"""

from __future__ import annotations


class SignerError(Exception):
    """Base of all errors: a stable `code`, a `detail` for a person and the `remedy`."""

    def __init__(self, code: str, detail: str, *, remedy: str = "") -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.remedy = remedy


class Malformed(SignerError):
    """The request cannot be understood; sending it again unchanged cannot help."""


class Refused(SignerError):
    """The request was understood and is not allowed."""


class Unavailable(SignerError):
    """Nothing was signed and nothing was decided; the same request may work later."""

    def __init__(self, code: str, detail: str, *, remedy: str = "", retry_after: int = 1) -> None:
        super().__init__(code, detail, remedy=remedy)
        self.retry_after = retry_after


class Misconfigured(SignerError):
    """The process must not start or go on until a person corrects its configuration."""
