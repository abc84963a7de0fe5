# SPDX-License-Identifier: Apache-2.0
"""Source repositories: one spelling for the URIs that evidence uses.

    git+https://github.com/acme/shop.git@refs/heads/main   →   github.com/acme/shop   at refs/heads/main

Only https, only ASCII, nothing to decode: whatever two readers could understand differently is refused instead of
repaired (userinfo, backslash, tab, percent signs, dot segments, a trailing dot, upper case in the host).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from signer.errors import Malformed

MAX_URI = 1024
MAX_REF = 255

_SCHEMES = ("https://", "git+https://")
_HOST = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
_SEGMENT = r"(?!\.{1,2}(?:/|@|\Z))[A-Za-z0-9._~-]+"
_URI = re.compile(
    rf"(?:git\+)?https://(?P<host>{_HOST})(?P<port>:[1-9][0-9]{{0,4}})?/(?P<path>{_SEGMENT}(?:/{_SEGMENT})*)"
    r"(?:@(?P<ref>[^@]+))?"
)
_REF = re.compile(r"[A-Za-z0-9._/+=#,-]+")
_DEFAULT_PORT = ":443"


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """A repository in canonical form, `host[:port]/path`, and the ref that the URI named."""

    repository: str
    ref: str | None


def parse_source_uri(text: str) -> SourceLocation:
    """Read an https or git+https URI with an optional `@ref`; raises Malformed for anything ambiguous."""
    location = find_source_uri(text)
    if location is None:
        raise Malformed(
            "evidence-invalid",
            "the source repository of the evidence has no single meaning",
            remedy="write it like git+https://github.com/acme/shop@refs/heads/main",
        )
    return location


def find_source_uri(text: str) -> SourceLocation | None:
    """The same for a URI that need not name a repository; None when it names none."""
    if not text.startswith(_SCHEMES) or len(text) > MAX_URI or not text.isascii():
        return None
    parts = _URI.fullmatch(text)
    if parts is None or parts["port"] == _DEFAULT_PORT:
        return None
    path, ref = parts["path"].removesuffix(".git"), parts["ref"]
    # A second `.git` would make a canonical form that is not its own canonical form.
    if not path or path.endswith(("/", ".git")) or not (ref is None or _is_ref(ref)):
        return None
    return SourceLocation(f"{parts['host']}{parts['port'] or ''}/{path}", ref)


def parse_ref(text: str) -> str:
    """A git ref or tag name, at most 255 plain ASCII characters; raises Malformed."""
    if not _is_ref(text):
        raise Malformed("evidence-invalid", "a git ref of the evidence is not a plain ref name")
    return text


def _is_ref(text: str) -> bool:
    return len(text) <= MAX_REF and _REF.fullmatch(text) is not None and ".." not in text
