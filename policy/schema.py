# SPDX-License-Identifier: Apache-2.0
"""Reading a document under a closed schema: a key that no reader asks for is refused, and refusals name their path.

rules[2].atLeast: "ephemral" is not one of shared, dedicated, ephemeral, hardened
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from policy.patterns import is_pattern
from policy.wording import quote

MAX_TEXT = 512
MAX_ENTRIES = 256
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_DURATION = re.compile(r"(0|[1-9][0-9]{0,5})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:Z|[+-]\d{2}:\d{2})", re.ASCII)


class PolicyError(ValueError):
    """The document is no policy: `detail` begins with the path of the fault, `remedy` says what to write."""

    code = "policy-invalid"

    def __init__(self, detail: str, *, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


class Section:
    """One mapping of the document; each key is read at most once, `close` refuses the keys that nobody read."""

    __slots__ = ("_values", "path")

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise PolicyError(f"{path}: must be a mapping", remedy="write KEY: VALUE lines, or {key: value}")
        self._values: dict[str, Any] = dict(value)
        self.path = path

    def at(self, key: str) -> str:
        """The path of `key`, as refusals print it."""
        return f"{self.path}.{key}" if self.path else key

    def refuse(self, key: str, fault: str, *, remedy: str) -> PolicyError:
        """The error to raise for `key`."""
        return PolicyError(f"{self.at(key)}: {fault}", remedy=remedy)

    def has(self, key: str) -> bool:
        """Whether `key` is there and has not been read."""
        return key in self._values

    def take(self, key: str) -> Any:
        """The raw value of a mandatory key."""
        try:
            return self._values.pop(key)
        except KeyError:
            raise self.refuse(key, "is missing", remedy=f"add the key {key}") from None

    def close(self) -> None:
        """Refuse the first key that nobody asked for."""
        for key in self._values:
            raise self.refuse(
                key[:64],
                "is not a key of this version",
                remedy="remove it, or correct its spelling; docs/reference/rules.md lists the keys",
            )

    def text(self, key: str) -> str:
        """Text of 1 to 512 characters."""
        value = self.take(key)
        if not isinstance(value, str):
            raise self.refuse(key, "must be text", remedy="quote the value")
        if not 0 < len(value) <= MAX_TEXT:
            raise self.refuse(key, f"must have 1 to {MAX_TEXT} characters", remedy="shorten the value")
        return value

    def name(self, key: str) -> str:
        """A name that may stand in paths and identifiers."""
        value = self.text(key)
        if NAME.fullmatch(value) is None:
            raise self.refuse(
                key, f"{quote(value)} is not a name", remedy="use letters, digits, '.', '_' and '-', at most 64"
            )
        return value

    def reference(self, key: str, known: Collection[str], *, what: str) -> str:
        """The name of an entry that exists."""
        value = self.text(key)
        if value not in known:
            raise self._unknown(key, value, known, what)
        return value

    def choice(self, key: str, options: Collection[str]) -> str:
        """One of a closed list of words."""
        value = self.text(key)
        if value not in options:
            raise self.refuse(
                key, f"{quote(value)} is not one of {', '.join(options)}", remedy="write one of these words"
            )
        return value

    def integer(self, key: str, *, least: int, default: int | None = None) -> int:
        """An integer of at least `least`."""
        if default is not None and not self.has(key):
            return default
        value = self.take(key)
        if type(value) is not int or not least <= value <= 2**31:
            raise self.refuse(key, f"must be an integer of at least {least}", remedy="write a decimal integer")
        return value

    def boolean(self, key: str, *, default: bool | None = None) -> bool:
        """Exactly true or false."""
        if default is not None and not self.has(key):
            return default
        value = self.take(key)
        if type(value) is not bool:
            raise self.refuse(key, "must be true or false", remedy="write true or false without quotes")
        return value

    def duration(self, key: str, *, most: timedelta = timedelta(days=3650)) -> timedelta | None:
        """A whole number and a unit, `36h`; None when the key is absent."""
        if not self.has(key):
            return None
        value = self.take(key)
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise self.refuse(
                key, "is not a duration", remedy="write a whole number and one of s, m, h, d, w: for example 36h"
            )
        length = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
        if length > most:
            raise self.refuse(key, f"is longer than {most}", remedy="shorten it")
        return length

    def moment(self, key: str) -> datetime | None:
        """An RFC 3339 time with an offset, in UTC; None when the key is absent."""
        if not self.has(key):
            return None
        value = self.take(key)
        fault = self.refuse(key, "is not an RFC 3339 time", remedy="for example 2027-06-30T00:00:00Z")
        if not isinstance(value, str) or _MOMENT.fullmatch(value) is None:
            raise fault
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            raise fault from None

    def words(self, key: str, *, empty: bool = False) -> tuple[str, ...]:
        """A list of distinct texts, never empty where an empty list would demand nothing."""
        value = self.take(key)
        if not isinstance(value, list) or not (value or empty):
            raise self.refuse(key, "must be a list with at least one entry", remedy="write [first, second]")
        if len(value) > MAX_ENTRIES:
            raise self.refuse(key, f"has more than {MAX_ENTRIES} entries", remedy="shorten the list")
        for word in value:
            if not isinstance(word, str) or not 0 < len(word) <= MAX_TEXT:
                raise self.refuse(key, f"must list texts of 1 to {MAX_TEXT} characters", remedy="quote the entries")
        if len(set(value)) != len(value):
            raise self.refuse(key, "lists an entry twice", remedy="keep one of the two")
        return tuple(value)

    def choices(self, key: str, options: Collection[str]) -> tuple[str, ...]:
        """Distinct words of a closed list."""
        values = self.words(key)
        for value in values:
            if value not in options:
                raise self.refuse(
                    key, f"{quote(value)} is not one of {', '.join(options)}", remedy="write one of these words"
                )
        return values

    def references(self, key: str, known: Collection[str], *, what: str) -> tuple[str, ...]:
        """Distinct names of entries that exist."""
        values = self.words(key)
        for value in values:
            if value not in known:
                raise self._unknown(key, value, known, what)
        return values

    def patterns(self, key: str, *, prefix: str = "") -> tuple[str, ...]:
        """Distinct patterns whose literal beginning is `prefix` and whose first segment holds no wildcard."""
        values = self.words(key)
        for value in values:
            if not is_pattern(value) or "*" in value.partition("/")[0] or not value.startswith(prefix):
                begin = f" that begins with {prefix}" if prefix else ""
                raise self.refuse(
                    key,
                    f"{quote(value)} is not a pattern{begin}",
                    remedy="separate segments by '/', use '*' within a segment only, never in the first one",
                )
        return values

    def section(self, key: str) -> Section:
        """A mandatory mapping."""
        return Section(self.take(key), self.at(key))

    def optional_section(self, key: str) -> Section:
        """A mapping that may be absent."""
        return self.section(key) if self.has(key) else Section({}, self.at(key))

    def entries(self, key: str) -> Iterator[tuple[str, Section]]:
        """A mapping of names to mappings; absent means none."""
        for name, value in self.optional_section(key).items():
            yield name, Section(value, f"{self.at(key)}.{name}")

    def items(self) -> Iterator[tuple[str, Any]]:
        """Every remaining key, which must be a name, with its raw value."""
        if len(self._values) > MAX_ENTRIES:
            raise PolicyError(f"{self.path}: has more than {MAX_ENTRIES} entries", remedy="shorten it")
        for name in tuple(self._values):
            if NAME.fullmatch(name) is None:
                raise PolicyError(
                    f"{self.path}: {quote(name)} is not a name",
                    remedy="use letters, digits, '.', '_' and '-', at most 64",
                )
            yield name, self._values.pop(name)

    def names(self) -> tuple[str, ...]:
        """Every key that nobody has read."""
        return tuple(self._values)

    def sections(self, key: str) -> Iterator[Section]:
        """A mandatory list of mappings, never empty."""
        value = self.take(key)
        if not isinstance(value, list) or not value:
            raise self.refuse(key, "must be a list with at least one entry", remedy="write a list of mappings")
        if len(value) > MAX_ENTRIES:
            raise self.refuse(key, f"has more than {MAX_ENTRIES} entries", remedy="shorten the list")
        for index, entry in enumerate(value):
            yield Section(entry, f"{self.at(key)}[{index}]")

    def _unknown(self, key: str, value: str, known: Collection[str], what: str) -> PolicyError:
        there = ", ".join(sorted(known)) or "none"
        return self.refuse(
            key, f"there is no {what} {quote(value)}", remedy=f"define it, or name one of those there are: {there}"
        )
