# SPDX-License-Identifier: Apache-2.0
"""Where persons stand in facts: everybody whom evidence names, under another name.

Rules compare persons for equality alone, so a verdict does not change under one-to-one renaming.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from policy.facts import Item, Provenance, ReviewRecord


def renamed(item: Item, persons: Callable[[str], str]) -> dict[str, Any]:
    """The fields of an item that name somebody, with everybody renamed."""
    match item:
        case Provenance():
            return {"triggered_by": None if item.triggered_by is None else persons(item.triggered_by)}
        case ReviewRecord():
            return {
                # The same human under an e-mail address and a login is one author.
                "authors": None if item.authors is None else tuple(sorted(set(map(persons, item.authors)))),
                "reviews": tuple(replace(review, reviewer=persons(review.reviewer)) for review in item.reviews),
                "owned": tuple(
                    replace(files, owners=tuple(sorted(set(map(persons, files.owners))))) for files in item.owned
                ),
                "merged_by": None if item.merged_by is None else persons(item.merged_by),
            }
        case _:
            return {}
