# SPDX-License-Identifier: Apache-2.0
"""The policy document as JSON Schema (2020-12), for editors: completion, and most mistakes before the linter runs.

Made of the same tables that read a document. It says less than the reader does (references, levels that parameters
carry, twins) and refuses nothing that the reader takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from policy.document import MOST_OPEN_WAIVERS, MOST_RENEWALS, MOST_WAIVER_DAYS, SCHEMA, Limits
from policy.outputs import ARTIFACT, COSIGN, FORMATS, KEYS, TIMESTAMPS, VSA
from policy.rule import LEVELS, MODES, Parameter, RuleType
from policy.rules import RULES
from policy.rules.artifact.severity import SEVERITIES, UNRATED
from policy.rules.deployment.approval import MAX_COUNT
from policy.schema import MAX_ENTRIES, MAX_TEXT, NAME
from policy.sense import Kind, Sense
from policy.trust import IDENTITY, ISOLATION, NETWORK, PROVENANCE, SOURCES, STATEMENTS

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
NAMED: Final[Schema] = {"type": "string", "pattern": f"^{NAME.pattern}$"}
DURATION: Final[Schema] = {
    "type": "string",
    "pattern": "^(0|[1-9][0-9]{0,5})[smhdw]$",
    "description": "a whole number and one of s, m, h, d, w",
}
MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}

_SCALARS: Final[Mapping[Kind, Schema]] = {
    Kind.AGE: DURATION,
    Kind.SPAN: DURATION,
    Kind.ALLOWS: {"type": "boolean"},
    Kind.INSISTS: {"type": "boolean"},
    Kind.NAMES: NAMED,
    Kind.SAYS: TEXT,
}


def policy_schema() -> Schema:
    """The schema of a policy document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Signing policy",
        **_closed(
            {
                "schema": {"const": SCHEMA},
                "metadata": _closed(
                    {
                        "name": NAMED,
                        "version": {"type": "integer", "minimum": 1},
                        "owner": TEXT,
                        "expires": MOMENT,
                    },
                    optional=("expires",),
                ),
                "defaults": _closed(
                    {"maxEvidenceAge": DURATION, "clockSkew": DURATION}, optional=("maxEvidenceAge", "clockSkew")
                ),
                "promotion": {
                    "description": "what must be recorded in shadow before it may come into force",
                    **_closed(
                        {"decisions": {"type": "integer", "minimum": 1}, "period": DURATION},
                        optional=("decisions", "period"),
                    ),
                },
                "trust": _trust(),
                "rules": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_ENTRIES,
                    "items": {"oneOf": [_rule(kind) for kind in RULES.values()]},
                },
                "environments": _entries(_environment(), least=1),
                "limits": _limits(),
            },
            optional=("defaults", "promotion", "limits"),
        ),
    }


def _environment() -> Schema:
    parts: dict[str, Schema] = {
        "require": {**_list(TEXT), "description": 'ids of rules, or "*" alone for all of them'},
        KEYS[VSA]: {**NAMED, "description": "the key of statements"},
        "formats": {
            **_list({"enum": list(FORMATS)}),
            "contains": {"const": VSA},
            "description": f"what is signed; {VSA} alone without it",
        },
        KEYS[COSIGN]: {**NAMED, "description": f"the key of images, where formats hold {COSIGN}"},
        KEYS[ARTIFACT]: {**NAMED, "description": f"the key of artifacts, where formats hold {ARTIFACT}"},
    }
    parts["timestamp"] = {
        "enum": list(TIMESTAMPS),
        "description": "an RFC 3161 timestamp over each signature; none without it",
    }
    return _closed(parts, optional=("formats", KEYS[COSIGN], KEYS[ARTIFACT], "timestamp"))


def _limits() -> Schema:
    def number(least: int, most: int, what: str) -> Schema:
        return {"type": "integer", "minimum": least, "maximum": most, "description": what}

    usual = Limits()
    parts = {
        "maxWaiverDays": number(1, MOST_WAIVER_DAYS, f"longest waiver; {usual.max_waiver_days} without it"),
        "maxRenewals": number(0, MOST_RENEWALS, f"renewals of one waiver; {usual.max_renewals} without it"),
        "maxOpenWaivers": number(0, MOST_OPEN_WAIVERS, f"waivers at a time; {usual.max_open_waivers} without it"),
    }
    return _closed(parts, optional=parts)


def _trust() -> Schema:
    signer = {
        "key": {**NAMED, "description": "a key under trust.keys"},
        "signer": {**NAMED, "description": "an identity under trust.identities, instead of a key"},
    }
    either: Schema = {"oneOf": [{"required": ["key"]}, {"required": ["signer"]}]}

    def entry(properties: Mapping[str, Schema], *, optional: Iterable[str] = ()) -> Schema:
        return {**_closed({**signer, **properties}, optional=("key", "signer", *optional)), **either}

    pem = {"type": "string", "description": "the BEGIN PUBLIC KEY block that `openssl pkey -pubout` prints"}
    parts: dict[str, Schema] = {
        "keys": _entries(pem),
        "roots": _entries(_closed({"trustedRoot": {"type": "string", "description": "a trusted root as JSON text"}})),
        "identities": _entries(
            _closed(
                {"root": NAMED, "issuer": TEXT, "subject": TEXT, "repositoryId": _digits(), "ownerId": _digits()},
                optional=("repositoryId", "ownerId"),
            )
        ),
        "accept": _closed(
            {"statements": _list({"enum": list(STATEMENTS)}), "provenance": _list({"enum": list(PROVENANCE)})},
            optional=("statements", "provenance"),
        ),
        "builders": _entries(
            entry(
                {
                    "id": {**TEXT, "description": "builder.id of the provenance"},
                    "source": {"enum": list(SOURCES)},
                    "isolation": {"enum": list(ISOLATION)},
                    "network": {"enum": list(NETWORK)},
                    "identity": {"enum": list(IDENTITY)},
                    "broadAccess": {"type": "boolean"},
                    "principal": {
                        "type": "string",
                        "pattern": f"^robot:{NAME.pattern}$",
                        "description": "the robot of the access document that submits the builder's logs",
                    },
                },
                optional=("source", "principal"),
            )
        ),
        "scanners": _entries(entry({"maxDatabaseAge": DURATION}, optional=("maxDatabaseAge",))),
        "testers": _entries(entry({})),
        "collectors": _entries(entry({"verifier": {**TEXT, "description": "verifier.id of the source VSA"}})),
        "producers": _entries(entry({})),
        "signers": _entries(entry({})),
        "authors": _entries(entry({})),
    }
    return _closed(parts, optional=parts)


def _rule(kind: RuleType[Any]) -> Schema:
    properties: dict[str, Schema] = {
        "id": NAMED,
        "type": {"const": kind.code},
        "control": {"const": kind.control},
        "level": {"enum": list(LEVELS)},
        "mode": {"enum": list(MODES), "description": "shadow: judged and shown, and no part of the verdict"},
        "effectiveOn": {**MOMENT, "description": "from when on a rule in shadow is in force"},
        "waivable": {"type": "boolean", "description": "whether two people may waive it; false without it"},
    }
    nested: dict[str, dict[str, Schema]] = {}
    for parameter in kind.parameters:
        name, _, inner = parameter.name.partition(".")
        if inner:
            nested.setdefault(name, {})[inner] = _parameter(parameter)
        else:
            properties[name] = _parameter(parameter)
    properties |= {name: _closed(inner) for name, inner in nested.items()}
    own = ("mode", "effectiveOn", "waivable")
    optional = [*own, *(parameter.name for parameter in kind.parameters if not parameter.required)]
    return {"title": kind.code, "description": kind.title, **_closed(properties, optional=optional)}


def _parameter(parameter: Parameter) -> Schema:
    values = {} if parameter.sense is None else _values(parameter, parameter.sense)
    return {**values, "description": parameter.meaning}


def _values(parameter: Parameter, sense: Sense) -> Schema:
    match sense.kind:
        case Kind.ALLOWS | Kind.INSISTS:
            return {"type": "boolean"}
        case Kind.ACCEPTS | Kind.DEMANDS:
            # A list in a mapping of its own may be empty: it says that nothing is accepted.
            return _list(TEXT, least=0 if "." in parameter.name else 1)
        case Kind.LEAST if sense.order:
            return {"enum": list(sense.order)}
        case Kind.LEAST | Kind.MOST:
            return {"type": "integer", "minimum": sense.least}
        case Kind.LIMITS | Kind.COUNTS | Kind.GRACE:
            return _mapping(sense.kind)
        case Kind.AGE | Kind.SPAN | Kind.ALLOWS | Kind.INSISTS | Kind.NAMES | Kind.SAYS:
            return _SCALARS[sense.kind]


def _mapping(kind: Kind) -> Schema:
    if kind is Kind.COUNTS:
        return _entries({"type": "integer", "minimum": 1, "maximum": MAX_COUNT}, least=1)
    names = (*SEVERITIES, UNRATED) if kind is Kind.LIMITS else SEVERITIES
    value = {"type": "integer", "minimum": 0} if kind is Kind.LIMITS else DURATION
    return {**_closed(dict.fromkeys(names, value), optional=names), "minProperties": 1}


def _closed(properties: Mapping[str, Schema], *, optional: Iterable[str] = ()) -> Schema:
    left = set(optional)
    required = [name for name in properties if name not in left]
    return {
        "type": "object",
        "properties": dict(properties),
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _entries(entry: Schema, *, least: int = 0) -> Schema:
    return {
        "type": "object",
        "propertyNames": NAMED,
        "additionalProperties": entry,
        "maxProperties": MAX_ENTRIES,
        **({"minProperties": least} if least else {}),
    }


def _list(items: Schema, *, least: int = 1) -> Schema:
    return {"type": "array", "items": items, "minItems": least, "maxItems": MAX_ENTRIES, "uniqueItems": True}


def _digits() -> Schema:
    return {"type": "string", "pattern": "^[0-9]{1,20}$"}
