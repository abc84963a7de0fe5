# SPDX-License-Identifier: Apache-2.0
"""Patterns for repositories, refs and workflow paths.

    github.com/acme/shop      exactly that
    github.com/acme/pay-*     `*` stands for any run of characters, also none, within one segment
    refs/tags/v*              matches refs/tags/v1.2 and never refs/tags/v1/x

A pattern always covers the whole text. Matching takes linear time: no expression is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_PATTERN = re.compile(r"[A-Za-z0-9._~@+*-]+(?:/[A-Za-z0-9._~@+*-]+)*")


def is_pattern(text: str) -> bool:
    """Whether `text` uses only the syntax above; `**` and other wildcards are outside it."""
    return _PATTERN.fullmatch(text) is not None and "**" not in text


def matches(pattern: str, text: str) -> bool:
    """Whether the whole of `text` matches, segment by segment."""
    if "*" not in pattern:
        return pattern == text
    wanted = pattern.split("/")
    offered = text.split("/")
    return len(wanted) == len(offered) and all(map(_segment_matches, wanted, offered))


def matches_any(patterns: Sequence[str], text: str) -> bool:
    """Whether one of `patterns` matches the whole of `text`; each matches itself, spelled out."""
    return text in patterns or any(matches(pattern, text) for pattern in patterns)


def _segment_matches(pattern: str, text: str) -> bool:
    first, *rest = pattern.split("*")
    if not rest:
        return first == text
    *middle, last = rest
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    position = len(first)
    end = len(text) - len(last)
    for part in middle:
        # The leftmost occurrence leaves most room for the parts that follow.
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


def compiled(pattern: str) -> str:
    """The pattern as a regular expression for people; the judge itself never compiles one."""
    return f"^{'[^/]*'.join(map(re.escape, pattern.split('*')))}$"
