# SPDX-License-Identifier: Apache-2.0
"""The one YAML reader: the subset of YAML 1.2 in which every reader sees the same values.

    version: 1              an integer: canonical decimal, at most 2^53-1
    broadAccess: false      a boolean: exactly `true` or `false`
    expires: 2027-06-30T00:00:00Z
                            text; every other plain word is text too

Refused: anchors, aliases, tags, merge keys, directives, several documents, duplicate or non-text keys, missing
values, `null`, and each plain word that some YAML reader takes for another type (`no`, `on`, `1.5`, `012`, `12:30`,
`0o7`): quote it. Refused before parsing: more than 256 KiB, anything but UTF-8, characters that hide text from a
reviewer. Values are built from the parser's events without recursion; no constructor of PyYAML ever runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1

_INTEGER = re.compile(r"-?[1-9][0-9]{0,15}|0")
_BOOLEANS = {"true": True, "false": False}
# What YAML 1.1 or 1.2 readers resolve to null, bool, number, merge or value: yaml.org/type, YAML 1.2.2 §10.3.2.
_AMBIGUOUS = re.compile(
    r"""~|null|true|false|yes|no|on|off|y|n|<<|=
    |[-+]?\.(?:inf|nan)
    |[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-f_]+)
    |[-+]?[0-9][0-9_]*(?::[0-9][0-9_]*)*(?:\.[0-9_]*)?(?:e[-+]?[0-9]+)?
    |[-+]?\.[0-9_]+(?:e[-+]?[0-9]+)?""",
    re.IGNORECASE | re.VERBOSE,
)
# Line ends of YAML 1.1 only, byte order marks, and characters that reorder or hide what a reviewer reads.
_HIDING = re.compile("[\u0085\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class YamlError(ValueError):
    """The document is outside the subset: `detail` names the line, `remedy` says what to write instead."""

    def __init__(self, detail: str, *, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


def load(data: bytes) -> Any:
    """Read one document into dict, list, str, int and bool; raises YamlError."""
    if len(data) > MAX_BYTES:
        raise YamlError(f"the document is larger than {MAX_BYTES} bytes", remedy="split it into smaller documents")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise YamlError(f"byte {fault.start} is not UTF-8", remedy="save the document as UTF-8") from None
    hidden = _HIDING.search(text)
    if hidden is not None:
        line = text.count("\n", 0, hidden.start()) + 1
        raise YamlError(
            f"line {line} holds the invisible character U+{ord(hidden.group()):04X}",
            remedy="remove it, so that every reviewer sees what is in force",
        )
    try:
        # The Python parser on every machine: libyaml differs in corners, and a replay must not.
        return _build(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise YamlError(f"{where}{fault.problem or 'not YAML'}", remedy="correct the YAML syntax") from None
    except yaml.YAMLError:
        raise YamlError("the document holds control characters", remedy="remove them") from None
    except OverflowError:
        # PyYAML hands an escape beyond U+10FFFF to chr().
        raise YamlError("an escape names no Unicode character", remedy="correct the escape") from None
    except YamlError:
        raise
    except ValueError:
        raise YamlError("an escape names no Unicode character", remedy="correct the escape") from None


class _Open:
    """A mapping or a list whose end has not been read yet."""

    __slots__ = ("key", "value")

    def __init__(self, value: dict[str, Any] | list[Any]) -> None:
        self.value = value
        self.key: str | None = None

    def add_scalar(self, value: str | int, line: int) -> None:
        """Take a scalar: a mapping reads keys and values in turn."""
        if isinstance(self.value, list) or self.key is not None:
            self.add(value, line)
        elif not isinstance(value, str):
            raise YamlError(f"line {line}: the key {value!r} is not text", remedy="quote the key")
        elif value in self.value:
            raise YamlError(f"line {line}: the key {value[:64]!r} stands twice", remedy="keep one of the two")
        else:
            self.key = value

    def add(self, value: Any, line: int) -> None:
        """Take a value that cannot be a key."""
        if isinstance(self.value, list):
            self.value.append(value)
        elif self.key is None:
            raise YamlError(f"line {line}: a key must be text", remedy="write a plain or quoted word as the key")
        else:
            self.value[self.key] = value
            self.key = None


def _build(events: Iterator[Any]) -> Any:
    root: list[Any] = []
    stack = [_Open(root)]
    for event in events:
        line = event.start_mark.line + 1
        match event:
            case yaml.DocumentStartEvent():
                _refuse_second(event, root, line)
            case yaml.AliasEvent():
                raise YamlError(f"line {line}: aliases are not accepted", remedy="write the value out in full")
            case yaml.ScalarEvent():
                _refuse_properties(event, line)
                stack[-1].add_scalar(_scalar(event, line), line)
            case yaml.CollectionStartEvent():
                _refuse_properties(event, line)
                if len(stack) > MAX_DEPTH:
                    raise YamlError(
                        f"line {line}: nested deeper than {MAX_DEPTH} levels", remedy="flatten the document"
                    )
                child = _Open({} if isinstance(event, yaml.MappingStartEvent) else [])
                stack[-1].add(child.value, line)
                stack.append(child)
            case yaml.CollectionEndEvent():
                stack.pop()
            case _:
                pass  # the other events, stream and document ends, carry no value
    if not root:
        raise YamlError("the document is empty", remedy="write the document")
    return root[0]


def _refuse_second(event: Any, root: list[Any], line: int) -> None:
    if root:
        raise YamlError(f"line {line}: a second document begins", remedy="keep one document per file")
    if event.version is not None or event.tags:
        raise YamlError(f"line {line}: directives are not accepted", remedy="remove the % line")


def _refuse_properties(event: Any, line: int) -> None:
    if event.anchor is not None:
        raise YamlError(f"line {line}: anchors are not accepted", remedy="write the value out where it is needed")
    if event.tag is not None:
        raise YamlError(f"line {line}: tags are not accepted", remedy="remove the tag; types follow from the schema")


def _scalar(event: yaml.ScalarEvent, line: int) -> str | int:
    text = str(event.value)
    if _SURROGATE.search(text) is not None:
        raise YamlError(f"line {line}: an escape names half a character", remedy="write the character itself")
    if event.style is not None:
        return text
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text) is not None and abs(int(text)) <= MAX_INTEGER:
        return int(text)
    if not text:
        raise YamlError(f"line {line}: a value is missing", remedy='write the value, or "" for empty text')
    if _AMBIGUOUS.fullmatch(text) is not None:
        raise YamlError(
            f"line {line}: readers of YAML disagree on the plain word {text[:64]!r}",
            remedy=f"quote it for text, or write true, false or a decimal integer: '{text[:64]}'",
        )
    return text
