# SPDX-License-Identifier: Apache-2.0
"""Checks that several sections of the settings share; each raises ValueError with the words for the operator."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_absolute(section: Any) -> None:
    """Every path of a section is absolute: nothing is read from the working directory."""
    for entry in fields(section):
        value = getattr(section, entry.name)
        if isinstance(value, Path) and not value.is_absolute():
            raise ValueError(f"{entry.name} is not an absolute path")


def check_name(what: str, value: str) -> None:
    """A name is a short word of plain characters."""
    if _NAME.fullmatch(value) is None:
        raise ValueError(f"{what} is letters, digits, '.', '_' and '-', at most 64")


def check_distinct(what: str, values: list[str]) -> None:
    """No two entries of a list are the same."""
    if len(set(values)) != len(values):
        raise ValueError(f"{what} names one entry twice")
