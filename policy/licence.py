# SPDX-License-Identifier: Apache-2.0
"""SPDX licence expressions (SPDX 2.3, annex D): whether one can be satisfied with accepted licences.

    MIT OR (GPL-2.0-only WITH Classpath-exception-2.0 AND BSD-3-Clause)

AND binds closer than OR. Whether an id exists, the translator of evidence has checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

MAX_EXPRESSION: Final = 256
"""Characters of an expression; its depth is bounded by that."""

Accepts = Callable[[str, str | None], bool]
"""Whether a licence, with an exception or None, is accepted."""

_TOKEN = re.compile(r"[()]|[A-Za-z0-9.+:-]+")
_WORDS: Final = frozenset({"AND", "OR", "WITH", "(", ")"})


class LicenceError(ValueError):
    """The text is no licence expression."""


def satisfied(expression: str, accepts: Accepts) -> bool:
    """Whether accepted licences satisfy `expression`; raises LicenceError."""
    tokens = _TOKEN.findall(expression)
    if len(expression) > MAX_EXPRESSION or "".join(tokens) != "".join(expression.split()):
        raise LicenceError("the licence expression is too long, or holds other characters")
    reader = _Reader(tokens, accepts)
    answer = reader.any()
    if reader.peek() is not None:
        raise LicenceError("the licence expression goes on after its end")
    return answer


class _Reader:
    """Reads by recursive descent; every part is read whether its answer matters or not."""

    def __init__(self, tokens: list[str], accepts: Accepts) -> None:
        self._tokens = tokens
        self._at = 0
        self._accepts = accepts

    def peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def any(self) -> bool:
        answer = self._all()
        while self.peek() == "OR":
            self._next()
            other = self._all()
            answer = answer or other
        return answer

    def _all(self) -> bool:
        answer = self._one()
        while self.peek() == "AND":
            self._next()
            other = self._one()
            answer = answer and other
        return answer

    def _one(self) -> bool:
        if self.peek() == "(":
            self._next()
            answer = self.any()
            if self._next() != ")":
                raise LicenceError("a parenthesis is not closed")
            return answer
        licence, exception = self._id(), None
        if self.peek() == "WITH":
            self._next()
            exception = self._id()
        return self._accepts(licence, exception)

    def _id(self) -> str:
        token = self._next()
        if token in _WORDS:
            raise LicenceError("a licence is missing")
        return token

    def _next(self) -> str:
        token = self.peek()
        if token is None:
            raise LicenceError("the licence expression ends too early")
        self._at += 1
        return token
