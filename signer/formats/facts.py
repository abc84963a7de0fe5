# SPDX-License-Identifier: Apache-2.0
"""The facts document: everything a decision rested on, canonical JSON named by the decision leaf.

    {"evidence":{"documents":[],"provenance":[{"build_type":"…","builder":"demo-builder",…}],…},
     "ledger":{"access_digest":"…","policy_digest":"…"},"request":{"environment":"release",…}}

Field names are those of `policy.facts`. Replay decodes it and judges again. A field at its default is left out, so
that a document recorded before the field existed is still in its one form; `WRITTEN` lists the older exceptions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, get_args, get_type_hints

import msgspec

from policy.facts import CertificateIdentity, EvidenceFacts, Facts, Origin, Vulnerability
from signer.errors import Malformed
from signer.formats.canonical import canonical

MAX_FACTS = 64 * 1024 * 1024
_decoder = msgspec.json.Decoder(Facts)

WRITTEN: Final[Mapping[type, tuple[str, ...]]] = {
    EvidenceFacts: ("provenance", "sources", "tests", "scans", "sboms", "documents"),
    Origin: ("identity",),
    CertificateIdentity: ("workflow", "repository", "repository_id", "owner_id", "commit", "ref"),
    Vulnerability: ("package", "fix"),
}
"""Fields with a default that the first documents wrote out; never add to it."""


def encode_facts(facts: Facts) -> bytes:
    """The canonical bytes of `facts`; raises ValueError for a time that is not in UTC."""
    value = msgspec.to_builtins(facts)
    _prepare(value, _plan(Facts))
    return canonical(value)


def decode_facts(data: bytes) -> Facts:
    """Read a facts document; raises Malformed unless `data` is exactly what `encode_facts` writes."""
    if len(data) > MAX_FACTS:
        raise Malformed("too-large", f"a facts document is at most {MAX_FACTS} bytes")
    try:
        facts = _decoder.decode(data)
        # One spelling per document: this refuses unknown fields, double keys and other byte forms at once.
        exact = encode_facts(facts) == data
    except (ValueError, RecursionError) as fault:
        raise Malformed("malformed-facts", f"not a facts document: {str(fault)[:200]}") from None
    if not exact:
        raise Malformed("malformed-facts", "the facts document is not in its canonical form")
    return facts


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do to one record: fields to leave out, times to look at, and fields that hold records to do it to."""

    defaults: tuple[tuple[str, Any], ...]
    times: tuple[str, ...]
    inner: tuple[tuple[str, _Plan], ...]


@cache
def _plan(shape: type) -> _Plan:
    defaults: list[tuple[str, Any]] = []
    times: list[str] = []
    inner: list[tuple[str, _Plan]] = []
    hints = get_type_hints(shape)
    for field in fields(shape):
        if datetime in (hints[field.name], *get_args(hints[field.name])):
            times.append(field.name)
        if field.default is not MISSING and field.name not in WRITTEN.get(shape, ()):
            defaults.append((field.name, msgspec.to_builtins(field.default)))
        for record in _records(hints[field.name]):
            plan = _plan(record)
            if plan.defaults or plan.times or plan.inner:
                inner.append((field.name, plan))
    return _Plan(tuple(defaults), tuple(times), tuple(inner))


def _records(hint: Any) -> Iterator[type]:
    """The dataclass that a field holds: itself, or None, or a tuple of it."""
    for each in (hint, *get_args(hint)):
        if isinstance(each, type) and is_dataclass(each):
            yield each


def _prepare(value: dict[str, Any], plan: _Plan) -> None:
    for name in plan.times:
        if value[name] is not None and not value[name].endswith("Z"):
            raise ValueError(f"the time {name} in the facts is not in UTC")
    for name, default in plan.defaults:
        if value[name] == default:
            del value[name]
    for name, inner in plan.inner:
        held = value.get(name)
        for record in held if isinstance(held, list | tuple) else (held,):
            if record is not None:
                _prepare(record, inner)
