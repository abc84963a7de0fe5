# SPDX-License-Identifier: Apache-2.0
"""How a table of the settings file becomes the dataclasses of signer/settings.py: what msgspec leaves to others."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints


def unknown_keys(table: object, shape: Any, where: str = "") -> list[str]:
    """Dotted names of the keys in `table` that `shape` lacks; msgspec ignores these on dataclasses."""
    shape = _present(shape)
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


def choices_at(fault: str, shape: Any) -> str:
    """The words that may stand at the place which a refusal of msgspec names (`$.keys[...].purpose`); or nothing."""
    for name in re.findall(r"\.([a-z_]+)", fault.rpartition("`$")[2]):
        shape = _present(shape)
        if get_origin(shape) is tuple:
            shape = get_args(shape)[0]
        shape = get_type_hints(shape).get(name) if is_dataclass(shape) else None
    shape = _present(shape)
    return ", ".join(str(each.value) for each in shape) if isinstance(shape, type) and issubclass(shape, Enum) else ""


def _present(shape: Any) -> Any:
    """The shape of a section or value that may be absent, when it is there."""
    return get_args(shape)[0] if get_origin(shape) is UnionType else shape
