# SPDX-License-Identifier: Apache-2.0
"""Plain values to facts: the fixtures of a policy's tests, as short as they can be.

    provenance: {builder: ci, repository: github.com/acme/shop, ref: refs/heads/main, finished: 4h ago}
    scans: [{scanner: grype, finished: 3h ago, database_updated: 12h ago}]
    subjects: [shop.tar.gz]

Names are those of `policy.facts`. What a fixture leaves out is what evidence by that trust entry would say: its key,
its identity, attested, bound to every subject, received in the order written; what evidence need not state is not
stated. A whole facts document is a fixture as well.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from policy.document import Policy
from policy.facts import EvidenceFacts, Facts, SourceItem
from policy.identity import TrustedIdentity
from policy.schema import PolicyError, Section
from policy.testing.holds import complete_ledger
from policy.wording import quote

KINDS: Final = tuple(field.name for field in fields(EvidenceFacts))
"""The kinds of evidence, as a fixture names them."""
ENTRIES: Final[Mapping[str, str]] = types.MappingProxyType(
    {
        "builder": "builders",
        "collector": "collectors",
        "scanner": "scanners",
        "tester": "testers",
        "producer": "producers",
        "signer": "signers",
        "author": "authors",
    }
)
"""Field of an item that names its trust entry → the part of `trust` with these entries."""
NOBODY: Final = "untrusted"
"""The name of a key that the policy does not trust."""

_STATED: Final[Mapping[str, Any]] = types.MappingProxyType(
    {
        "builder_id": f"https://{NOBODY}.invalid",
        "verifier": f"https://{NOBODY}.invalid",
        "scanner_uri": f"https://{NOBODY}.invalid",
        "dependencies": 0,
        "undigested": 0,
        "failed": 0,
        "version": "1",
    }
)
"""What an item says where neither the fixture nor the trust entry does."""
_RELATIVE = re.compile(r"((?:(?:0|[1-9][0-9]{0,5})[smhdw])+) (ago|ahead|later|earlier)")
_PART = re.compile(r"([0-9]+)([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Setting:
    """What a fixture is completed from."""

    policy: Policy
    environment: str
    at: datetime


def moment(value: Any, *, at: datetime, path: str) -> datetime:
    """An RFC 3339 time, or a length and one of ago, ahead, earlier, later, counted from `at`; raises PolicyError."""
    if isinstance(value, datetime):
        return value
    found = _RELATIVE.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        length = timedelta(seconds=sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(found[1])))
        return at - length if found[2] in ("ago", "earlier") else at + length
    instant = Section({"time": value}, "").moment("time") if isinstance(value, str) and "T" in value else None
    if instant is None:
        raise PolicyError(f"{path}: is not a time", remedy="write 2026-11-23T12:00:00Z, or 2d3h ago")
    return instant


def build_facts(value: Mapping[str, Any], *, setting: Setting, path: str) -> Facts:
    """The facts of one fixture; raises PolicyError that names the fault below `path`."""
    flat = dict(value)
    request: dict[str, Any] = dict(flat.pop("request", {}))
    ledger: dict[str, Any] = dict(flat.pop("ledger", {}))
    flat.update(flat.pop("evidence", {}))
    request["subjects"] = _subjects(flat.pop("subjects", request.get("subjects", ["artifact"])), path=path)
    request.setdefault("submitter", flat.pop("submitter", "robot:ci"))
    request.setdefault("policy", setting.policy.name)
    # A recorded fixture is judged for the environment that the trial names.
    request["environment"] = setting.environment
    ledger["policy_digest"] = setting.policy.digest
    ledger.setdefault("access_digest", "0" * 64)
    first = request["subjects"][0] if request["subjects"] else {}
    digest = first.get("sha256", "") if isinstance(first, Mapping) else ""
    ledger = complete_ledger(ledger, sha256_of_subject=digest, environment=setting.environment)
    count = len(request["subjects"])
    evidence: dict[str, Any] = {}
    received = 0
    for kind in KINDS:
        items = flat.pop(kind, [])
        completed = []
        for item in [items] if isinstance(items, Mapping) else items:
            received += 1
            completed.append(_complete(kind, item, received, covers=range(count), setting=setting, path=path))
        evidence[kind] = completed
    for name in flat:
        raise PolicyError(
            f"{path}.{name}: is no kind of fact", remedy=f"use {', '.join((*KINDS, 'subjects', 'submitter'))}"
        )
    facts: Facts = _Reader(setting.at).read(
        Facts, {"request": request, "evidence": evidence, "ledger": ledger}, path=path
    )
    return facts


def plain(value: Any) -> Any:
    """Facts as plain values that a fixture may change; what is None is left out."""
    if is_dataclass(value):
        named = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {name: item for name, item in named.items() if item is not None}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def _subjects(value: Any, *, path: str) -> list[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise PolicyError(f"{path}.subjects: must be a list", remedy="write [shop.tar.gz]")
    return [
        {"name": item, "sha256": sha256(item.encode()).hexdigest()} if isinstance(item, str) else item for item in value
    ]


def _complete(
    kind: str, item: Any, received: int, *, covers: Sequence[int], setting: Setting, path: str
) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        raise PolicyError(f"{path}.{kind}: must be a mapping or a list of them", remedy="write {field: value}")
    shape = _item_type(kind)
    stated: dict[str, Any] = {}
    key = NOBODY
    identity: dict[str, str] = {}
    for field, part in ENTRIES.items():
        entry = getattr(setting.policy.trust, part).get(item.get(field)) if field in _hints(shape) else None
        if entry is not None:
            key = entry.key
            identity = {} if entry.signer is None else _certificate(entry.signer)
            stated = {
                name: _concrete(getattr(entry, source))
                for name, source in (("builder_id", "id"), ("isolation", "isolation"), ("verifier", "verifier"))
                if name in _hints(shape) and hasattr(entry, source)
            }
    if identity and "builder_id" in stated:
        # A builder id with a wildcard is the workflow that the certificate names.
        identity["workflow"] = stated["builder_id"]
    origin = {
        "digest": sha256(f"{kind} {received}".encode()).hexdigest(),
        "attested": True,
        "key": key,
        "submitter": "robot:ci",
        "bound": "source" if shape in get_args(SourceItem) else "subject",
        "covers": list(covers),
        "received": received,
        **({"identity": identity} if identity else {}),
        **item.get("origin", {}),
    }
    if not origin["attested"]:
        del origin["key"]
    defaults = {name: text for name, text in _STATED.items() if name in _hints(shape)}
    return {**defaults, **stated, **item, "origin": origin}


def _certificate(identity: TrustedIdentity) -> dict[str, str]:
    """What the certificate of a trusted identity says."""
    stated = {
        "root": identity.root,
        "issuer": identity.issuer,
        "subject": _concrete(identity.subject),
        "workflow": _concrete(identity.subject),
        "repository_id": identity.repository_id,
        "owner_id": identity.owner_id,
    }
    return {name: text for name, text in stated.items() if text is not None}


def _concrete(text: str) -> str:
    """One value that a pattern matches."""
    return text.replace("*", "x")


@cache
def _item_type(kind: str) -> type:
    (shape, _) = get_args(get_type_hints(EvidenceFacts)[kind])
    assert isinstance(shape, type)
    return shape


@cache
def _hints(shape: type) -> dict[str, Any]:
    return get_type_hints(shape)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads plain values by type hints; relative times count from `at`."""

    at: datetime

    def read(self, hint: Any, value: Any, *, path: str) -> Any:
        origin, arguments = get_origin(hint), get_args(hint)
        if origin in (Union, types.UnionType):
            (inner,) = (each for each in arguments if each is not type(None))
            return self.read(inner, value, path=path)
        if origin is tuple:
            if not isinstance(value, list | tuple):
                raise _fault(path, value, "a list")
            return tuple(self.read(arguments[0], item, path=f"{path}[{at}]") for at, item in enumerate(value))
        if origin is Literal:
            if value not in arguments:
                raise _fault(path, value, f"one of {', '.join(arguments)}")
            return value
        if is_dataclass(hint) and isinstance(hint, type):
            return self._record(hint, value, path=path)
        if hint is datetime:
            return moment(value, at=self.at, path=path)
        if type(value) is not hint:
            raise _fault(path, value, {str: "text", int: "an integer", bool: "true or false"}[hint])
        return value

    def _record(self, shape: type, value: Any, *, path: str) -> Any:
        if not isinstance(value, Mapping):
            raise _fault(path, value, "a mapping")
        hints = _hints(shape)
        for name in value:
            if name not in hints:
                raise PolicyError(f"{path}.{name}: is no field here", remedy=f"use {', '.join(hints)}")
        found: dict[str, Any] = {}
        for field in fields(shape):
            name, hint = field.name, hints[field.name]
            if name in value:
                found[name] = self.read(hint, value[name], path=f"{path}.{name}")
            elif field.default is MISSING:
                found[name] = _unstated(hint, path=f"{path}.{name}")
        return shape(**found)


def _unstated(hint: Any, *, path: str) -> Any:
    """What a field holds when nobody states it: None or an empty list."""
    if type(None) in get_args(hint):
        return None
    if get_origin(hint) is tuple:
        return ()
    raise PolicyError(f"{path}: is missing", remedy="state it in the fixture")


def _fault(path: str, value: Any, wanted: str) -> PolicyError:
    shown = quote(value) if isinstance(value, str) else type(value).__name__
    return PolicyError(f"{path}: {shown} is not {wanted}", remedy=f"write {wanted}")
