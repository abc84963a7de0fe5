# SPDX-License-Identifier: Apache-2.0
"""Words of others inside Markdown: text, and nothing else."""

from __future__ import annotations

from signer.formats.shape import one_line

_MARKUP = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]()#!|~"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})
LONGEST = 300


def inert(text: str) -> str:
    """`text` as one line that no Markdown reader takes for markup."""
    shown = one_line(text[:LONGEST]) + ("…" if len(text) > LONGEST else "")
    return shown.translate(_MARKUP)
