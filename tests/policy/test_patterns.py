# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given, strategies as st

from policy.patterns import is_pattern, matches

MATCHES = {
    "the same text": ("refs/heads/main", "refs/heads/main", True),
    "a prefix is not the whole": ("github.com/acme/shop", "github.com/acme/shop-evil", False),
    "a suffix is not the whole": ("heads/main", "refs/heads/main", False),
    "a star within a segment": ("refs/tags/v*", "refs/tags/v1.2.3", True),
    "a star may stand for nothing": ("refs/tags/v*", "refs/tags/v", True),
    "a star never crosses a slash": ("refs/tags/v*", "refs/tags/v1/evil", False),
    "a star never eats a segment": ("github.com/*/shop", "github.com/shop", False),
    "a star in the middle": ("refs/heads/release-*-lts", "refs/heads/release-7-lts", True),
    "the ends of a star do not overlap": ("a/ab*ba", "a/aba", False),
    "two stars": ("a/x*y*z", "a/x1y2z", True),
    "two stars in the wrong order": ("a/x*yy*z", "a/xyz", False),
    "case matters": ("refs/heads/main", "refs/heads/Main", False),
    "a dot is a dot": ("refs/tags/v2.*", "refs/tags/v20", False),
}


@pytest.mark.parametrize(("pattern", "text", "expected"), MATCHES.values(), ids=MATCHES)
def test_matches(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize("text", ["", "/a", "a/", "a//b", "a/**", "a b", "a?", "[a]", "{a,b}", "a\\b", "é", "a\n"])
def test_other_syntax_is_no_pattern(text: str) -> None:
    assert not is_pattern(text)


SEGMENT = st.text("ab*", max_size=6)


@given(SEGMENT, st.text("ab", max_size=8))
def test_one_segment_agrees_with_the_shell(pattern: str, text: str) -> None:
    assert matches(pattern, text) == fnmatch.fnmatchcase(text, pattern)


@given(st.lists(SEGMENT, min_size=1, max_size=3), st.lists(st.text("ab", max_size=4), min_size=1, max_size=3))
def test_segments_match_one_by_one(pattern: list[str], text: list[str]) -> None:
    each = len(pattern) == len(text) and all(map(matches, pattern, text))
    assert matches("/".join(pattern), "/".join(text)) == each


def test_many_stars_end_soon() -> None:
    assert not matches("*a" * 200 + "b", "a" * 5000)
