# SPDX-License-Identifier: Apache-2.0
"""Licences of an inventory: expressions in SPDX ids in one canonical spelling, counted."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from policy.artifact_facts import Licence
from policy.licence import MAX_EXPRESSION

NONE: Final = "NONE"
"""SPDX for: there is no licence, so nothing is permitted."""
_MAX_NAME: Final = 200


def count_licences(components: Iterable[tuple[str, Iterable[str]]]) -> tuple[Licence, ...]:
    """The licences of components, each a name and what is stated of it, the most frequent first.

    Several statements about one component all hold (AND). None stands for what nobody stated or what is no
    expression in SPDX ids: a free text may mean any licence.
    """
    found: dict[str | None, list[str]] = {}
    for name, stated in components:
        found.setdefault(_joined(tuple(stated)), []).append(name)
    licences = [
        Licence(expression=expression, components=len(names), example=names[0][:_MAX_NAME])
        for expression, names in found.items()
    ]
    return tuple(sorted(licences, key=lambda each: (-each.components, each.expression or "")))


def _joined(stated: tuple[str, ...]) -> str | None:
    parts = tuple(dict.fromkeys(map(_canonical, stated)))
    if not parts or None in parts:
        return None
    if len(parts) == 1:
        return parts[0]
    joined = " AND ".join(f"({part})" for part in parts)
    return joined if len(joined) <= MAX_EXPRESSION else None


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str | None:
    if text == NONE:
        return NONE
    if len(text) > MAX_EXPRESSION:
        return None
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return None
