# SPDX-License-Identifier: Apache-2.0
"""Which leaves somebody wants to hear of: `FIELD=VALUE`, all of which must hold.

    kind=decision  verdict=deny  policy.name=demo  signatures.kid=<key id>  dev=true

FIELD is a member of the leaf's JSON, a dot leads into an object, and of a list one element is enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from signer.errors import Malformed

_FIELD = re.compile(r"[a-z_0-9]+(\.[a-z_0-9]+)*")


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions that hold together; without any, every leaf is selected."""

    conditions: tuple[tuple[tuple[str, ...], str], ...]

    def takes(self, leaf: Mapping[str, Any]) -> bool:
        """Whether every condition holds for the leaf, given as its JSON value."""
        return all(wanted in map(_text, _values(leaf, path)) for path, wanted in self.conditions)


def parse_selection(texts: Iterable[str]) -> Selection:
    """Read conditions; raises Malformed for anything but FIELD=VALUE."""
    conditions = []
    for text in texts:
        field, separator, value = text.partition("=")
        if not separator or _FIELD.fullmatch(field) is None:
            raise Malformed(
                "selection-invalid",
                f"{text[:64]!r} is not FIELD=VALUE",
                remedy="write for example kind=decision or policy.name=demo; `signer log entry INDEX` shows the fields",
            )
        conditions.append((tuple(field.split(".")), value))
    return Selection(tuple(conditions))


def _values(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, list):
        for element in value:
            yield from _values(element, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _values(value[path[0]], path[1:])


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case None:
            return "null"
        case _:
            return str(value)
