# SPDX-License-Identifier: Apache-2.0
"""How a table of the settings file becomes the dataclasses of signer/settings.py: what msgspec leaves to others."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints


def unknown_keys(table: object, shape: Any, where: str = "") -> list[str]:
    """Dotted names of the keys in `table` that `shape` lacks; msgspec ignores these on dataclasses."""
    if get_origin(shape) is UnionType:
        # A section that may be absent.
        shape = get_args(shape)[0]
    if get_origin(shape) is tuple and isinstance(table, list):
        return [
            name for i, item in enumerate(table) for name in unknown_keys(item, get_args(shape)[0], f"{where}[{i}]")
        ]
    if not (is_dataclass(shape) and isinstance(table, dict)):
        return []
    hints = get_type_hints(shape)
    known = {entry.name for entry in fields(shape)}
    prefix = f"{where}." if where else ""
    found = [f"{prefix}{name}" for name in table if name not in known]
    for name in known & table.keys():
        found += unknown_keys(table[name], hints[name], f"{prefix}{name}")
    return found


def to_path(shape: type, value: object) -> object:
    """Read text as a path, for msgspec; raises ValueError for every other type."""
    if shape is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected {shape.__name__}")
