# SPDX-License-Identifier: Apache-2.0
"""Numbered checks: each that fails says what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from signer.errors import Malformed, Refused
from signer.formats.shape import one_line

Paint = Callable[[str, Literal["red", "green", "yellow"]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check that held, and what was found."""

    number: int
    title: str
    found: str


class CheckFailed(Refused):
    """A check did not hold; `passed` are those before it, and none after it was made."""

    def __init__(
        self, code: str, *, number: int, title: str, expected: str, found: str, passed: tuple[Check, ...], remedy: str
    ) -> None:
        super().__init__(code, f"check {number} ({title}): expected {expected}; found {found}", remedy=remedy)
        self.number = number
        self.title = title
        self.expected = expected
        self.found = found
        self.passed = passed

    def report(self) -> list[dict[str, Any]]:
        """All checks made, for machines; the last one failed."""
        failed = {"number": self.number, "title": self.title, "ok": False, "expected": self.expected}
        return [*report(self.passed), {**failed, "found": self.found, "code": self.code}]


class Checklist:
    """The checks of one verification, numbered in the order in which they are made.

    A check is named first and then proven, so that an error inside a parser is reported under its number:

        with checks.check("subject", code="subject-mismatch") as check:
            check.require(digest in found, expected=str(digest), found=", ".join(found))
    """

    def __init__(self) -> None:
        self._passed: list[Check] = []

    @property
    def passed(self) -> tuple[Check, ...]:
        """The checks that held so far."""
        return tuple(self._passed)

    @contextmanager
    def check(self, title: str, *, code: str, remedy: str = "") -> Iterator[OneCheck]:
        """Make the next check; leaving the block without an error records that it held."""
        one = OneCheck(number=len(self._passed) + 1, title=title, code=code, remedy=remedy, passed=self.passed)
        try:
            yield one
        except CheckFailed:
            raise
        except (Malformed, Refused) as fault:
            raise one.failure(
                code=fault.code, expected="well-formed and authentic input", found=fault.detail, remedy=fault.remedy
            ) from fault
        self._passed.append(Check(number=one.number, title=title, found=one.found))


class OneCheck:
    """One check while it is made."""

    def __init__(self, *, number: int, title: str, code: str, remedy: str, passed: tuple[Check, ...]) -> None:
        self.number = number
        self.title = title
        self.code = code
        self.remedy = remedy
        self.found = ""
        self._passed = passed

    def require(self, condition: bool, *, expected: str, found: str, code: str = "", remedy: str = "") -> None:  # noqa: FBT001 - the condition reads first
        """Go on only when `condition` holds; raises CheckFailed."""
        if not condition:
            raise self.failure(code=code, expected=expected, found=found, remedy=remedy)
        self.found = found

    def failure(self, *, expected: str, found: str, code: str = "", remedy: str = "") -> CheckFailed:
        """The error of this check."""
        return CheckFailed(
            code or self.code,
            number=self.number,
            title=self.title,
            expected=expected,
            found=found,
            passed=self._passed,
            remedy=remedy or self.remedy,
        )


def report(passed: tuple[Check, ...]) -> list[dict[str, Any]]:
    """Checks that held, for machines."""
    return [{"number": check.number, "title": check.title, "ok": True, "found": check.found} for check in passed]


def render_passed(passed: tuple[Check, ...], *, paint: Paint) -> str:
    """Checks that held, for people."""
    return "\n".join(
        f" {check.number:>2} {paint('ok', 'green')}   {check.title}: {one_line(check.found)}" for check in passed
    )


def render_failure(fault: CheckFailed, *, paint: Paint) -> str:
    """The checks made, the failed one last with what it expected and found."""
    lines = [paint("NOT VERIFIED", "red") + f"  {fault.code}"]
    if fault.passed:
        lines.append(render_passed(fault.passed, paint=paint))
    lines.append(f" {fault.number:>2} {paint('FAIL', 'red')} {fault.title}")
    lines.append(f"         expected  {one_line(fault.expected)}")
    lines.append(f"         found     {one_line(fault.found)}")
    if fault.remedy:
        lines.append(f"         fix       {one_line(fault.remedy)}")
    return "\n".join(lines)
