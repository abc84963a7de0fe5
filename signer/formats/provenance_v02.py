# SPDX-License-Identifier: Apache-2.0
"""SLSA provenance v0.2, read as the v1 that it migrates to (SLSA 1.2, build-provenance.md, "Migrating from 0.2").

    {"builder":{"id":"https://github.com/slsa-framework/slsa-github-generator/…@refs/tags/v2.0.0"},
     "buildType":"https://github.com/slsa-framework/slsa-github-generator/go@v1",
     "invocation":{"configSource":{"uri":"git+https://github.com/acme/shop@refs/tags/v1","digest":{"sha1":"51c0…"},
                                   "entryPoint":".github/workflows/release.yml"},
                   "parameters":{"inputs":{}},"environment":{"github_actor_id":"1234"}},
     "metadata":{"buildStartedOn":"2026-11-23T09:00:00Z"},
     "materials":[{"uri":"git+https://github.com/acme/shop@refs/tags/v1","digest":{"sha1":"51c0…"}}]}

The external parameters are `source` (`configSource.uri` when that is no repository), `entryPoint` and all below
`parameters`; the environment is the builder's own. Read only where the policy accepts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from signer.formats.provenance import Provenance, read_provenance
from signer.formats.shape import read_shape
from signer.formats.source_uri import find_source_uri

PREDICATE_TYPE = "https://slsa.dev/provenance/v0.2"


class _Builder(msgspec.Struct):
    id: str


class _ConfigSource(msgspec.Struct, rename="camel"):
    uri: str | None = None
    digest: dict[str, str] | None = None
    entry_point: str | None = None


class _Invocation(msgspec.Struct, rename="camel"):
    config_source: _ConfigSource | None = None
    parameters: Any = None
    environment: dict[str, Any] | None = None


class _Metadata(msgspec.Struct, rename="camel"):
    build_started_on: str | None = None
    build_finished_on: str | None = None


class _Material(msgspec.Struct):
    uri: str | None = None
    digest: dict[str, str] | None = None


class _Predicate(msgspec.Struct, rename="camel"):
    builder: _Builder
    build_type: str
    invocation: _Invocation | None = None
    metadata: _Metadata | None = None
    materials: list[_Material] | None = None


def read_provenance_v02(predicate: Mapping[str, Any]) -> Provenance:
    """Read the predicate of a verified statement; raises Malformed."""
    wire = read_shape(dict(predicate), _Predicate, what="provenance v0.2")
    invocation = wire.invocation or _Invocation()
    source = invocation.config_source or _ConfigSource()
    metadata = wire.metadata or _Metadata()
    materials = [{"uri": item.uri, "digest": item.digest} for item in wire.materials or ()]
    if source.uri and {"uri": source.uri, "digest": source.digest} not in materials:
        materials.append({"uri": source.uri, "digest": source.digest})
    parameters: dict[str, Any] = {"entryPoint": source.entry_point, "parameters": invocation.parameters}
    if source.uri:
        known = find_source_uri(source.uri) is not None
        parameters |= {"source": source.uri} if known else {"configSource": {"uri": source.uri}}
    times = {"startedOn": metadata.build_started_on, "finishedOn": metadata.build_finished_on}
    return read_provenance(
        {
            "buildDefinition": {
                "buildType": wire.build_type,
                "externalParameters": parameters,
                "resolvedDependencies": materials,
            },
            "runDetails": {"builder": {"id": wire.builder.id}, "metadata": times},
        }
    )
