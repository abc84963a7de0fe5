# SPDX-License-Identifier: Apache-2.0
"""SLSA build provenance v1 (SLSA 1.2, spec/build-provenance.md): who built it, from what, how.

    {"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1",
       "externalParameters":{"workflow":{"ref":"refs/heads/main","repository":"https://github.com/acme/shop",
                                         "path":".github/workflows/release.yml"}},
       "resolvedDependencies":[{"uri":"git+https://github.com/acme/shop@refs/heads/main",
                                "digest":{"gitCommit":"51c0…"}}]},
     "runDetails":{"builder":{"id":"https://github.com/acme/builders/.github/workflows/build.yml@refs/tags/v2"},
       "metadata":{"startedOn":"2026-11-23T09:00:00Z","finishedOn":"2026-11-23T09:05:00Z"}}}

GitHub, Tekton Chains and generic shapes become one value. Where the document contradicts itself (two
commits of the source repository), the field is None: a rule then cannot tell, and that denies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from signer.errors import Malformed
from signer.formats.bare_names import bare_names
from signer.formats.build_context import read_logs, read_secrets
from signer.formats.person import require_identifier
from signer.formats.rfc3339 import parse_time
from signer.formats.shape import read_shape, require_visible
from signer.formats.source_uri import SourceLocation, find_source_uri, parse_ref, parse_source_uri
from signer.formats.statement import is_commit

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
TRIGGERED_BY = "authority_triggeredBy"
"""Extension of `runDetails.metadata`: `san:<uri>`, `email:<address>` or `login:<issuer>#<numeric id>`."""

_GITHUB = frozenset(
    {
        "https://actions.github.io/buildtypes/workflow/v1",
        "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1",
    }
)
_TEKTON = frozenset({"https://tekton.dev/chains/v2/slsa", "https://tekton.dev/chains/v2/slsa-tekton"})
_TEKTON_INPUT = "inputs/result"
_UNSET_CLOCK = "0001-01-01T00:00:00Z"
_BARE_NAME = re.compile(r"[A-Za-z0-9_-]+")
_ACTOR = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """One build, in the words of `policy.facts.Provenance`."""

    builder_id: str
    build_type: str
    repository: str | None
    ref: str | None
    commit: str | None
    workflow: str | None
    parameters: tuple[str, ...]
    dependencies: int
    undigested: int
    triggered_by: str | None
    started: datetime | None
    finished: datetime | None
    definition: str | None
    logs: tuple[str, ...]
    secrets: tuple[str, ...] | None
    bare: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Stated:
    """What the external parameters say about the source."""

    location: SourceLocation | None
    ref: str | None
    workflow: str | None
    revision: str | None = None
    """At which revision the definition of the build was asked for, where it need not lie in the source repository;
    empty when nobody said it."""


class _Dependency(msgspec.Struct):
    uri: str | None = None
    digest: dict[str, str] | None = None
    name: str | None = None


class _BuildDefinition(msgspec.Struct, rename="camel"):
    build_type: str
    external_parameters: dict[str, Any]
    internal_parameters: dict[str, Any] | None = None
    resolved_dependencies: list[_Dependency] | None = None


class _Builder(msgspec.Struct):
    id: str


class _Metadata(msgspec.Struct, rename="camel"):
    started_on: str | None = None
    finished_on: str | None = None
    triggered_by: str | None = msgspec.field(default=None, name=TRIGGERED_BY)


class _RunDetails(msgspec.Struct):
    builder: _Builder
    metadata: _Metadata | None = None
    byproducts: list[_Dependency] | None = None


class _Predicate(msgspec.Struct, rename="camel"):
    build_definition: _BuildDefinition
    run_details: _RunDetails


def read_provenance(predicate: Mapping[str, Any]) -> Provenance:
    """Read the predicate of a verified statement; raises Malformed."""
    wire = read_shape(dict(predicate), _Predicate, what="provenance")
    definition, run = wire.build_definition, wire.run_details
    metadata = run.metadata or _Metadata()
    dependencies = definition.resolved_dependencies or []
    stated = _stated_source(definition)
    location = stated.location or _only_repository(definition.build_type, dependencies)
    commit, ref = _commit_and_ref(location, stated.ref, dependencies)
    return Provenance(
        builder_id=require_visible(run.builder.id, what="builder id"),
        build_type=require_visible(definition.build_type, what="build type"),
        repository=None if location is None else location.repository,
        ref=ref,
        commit=commit,
        workflow=None if stated.workflow is None else require_visible(stated.workflow, what="workflow path"),
        parameters=tuple(sorted(_dotted(definition.external_parameters))),
        dependencies=len(dependencies),
        undigested=sum(not dependency.digest for dependency in dependencies),
        triggered_by=_triggered_by(metadata, definition, location),
        started=_time(metadata.started_on, "startedOn"),
        finished=_time(metadata.finished_on, "finishedOn"),
        definition=_definition(run.builder.id, stated, location, commit),
        logs=tuple(read_logs((each.name, each.digest or {}) for each in run.byproducts or ())),
        secrets=read_secrets(definition.internal_parameters or {}),
        bare=bare_names(each.name or each.uri or "" for each in dependencies if not each.digest),
    )


def _stated_source(definition: _BuildDefinition) -> _Stated:
    parameters = definition.external_parameters
    workflow = parameters.get("workflow")
    if definition.build_type in _GITHUB or (isinstance(workflow, dict) and "repository" in workflow):
        return _github(workflow)
    if definition.build_type in _TEKTON:
        found = _tekton_reference(parameters.get("runSpec"))
        return _Stated(None, None, found.get("pathInRepo"), revision=found.get("revision", ""))
    return _generic(parameters)


class _Workflow(msgspec.Struct):
    repository: str
    ref: str
    path: str


def _github(workflow: Any) -> _Stated:
    """The workflow that was triggered; builder id names the reusable workflow that did the work."""
    wire = read_shape(workflow, _Workflow, what="externalParameters.workflow of the provenance")
    return _Stated(parse_source_uri(wire.repository), parse_ref(wire.ref), wire.path)


def _tekton_reference(run_spec: Any) -> dict[str, str]:
    """Where the git resolver fetched a pipeline: pathInRepo and revision of runSpec.pipelineRef.params."""
    if not isinstance(run_spec, dict):
        raise Malformed("evidence-invalid", "the Tekton provenance has no runSpec")
    reference = run_spec.get("pipelineRef", run_spec.get("taskRef"))
    params = reference.get("params") if isinstance(reference, dict) else None
    return {
        str(param["name"]): str(param["value"])
        for param in (params if isinstance(params, list) else ())
        if isinstance(param, dict) and isinstance(param.get("name"), str) and isinstance(param.get("value"), str)
    }


def _generic(parameters: Mapping[str, Any]) -> _Stated:
    """GitLab's `source` and `entryPoint`, SLSA's example `repository` and `ref`."""
    source = parameters.get("source", parameters.get("repository"))
    if isinstance(source, dict):
        source = source.get("uri")
    location = parse_source_uri(source) if isinstance(source, str) else None
    ref = parameters.get("ref")
    path = parameters.get("entryPoint", parameters.get("path"))
    return _Stated(
        location,
        parse_ref(ref) if isinstance(ref, str) else None if location is None else location.ref,
        path if isinstance(path, str) and path else None,
    )


def _only_repository(build_type: str, dependencies: Sequence[_Dependency]) -> SourceLocation | None:
    """The source when no parameter names it: the one repository among the git dependencies."""
    found = {
        location.repository: location
        for dependency, location in _located(dependencies)
        if build_type not in _TEKTON or dependency.name == _TEKTON_INPUT
    }
    return next(iter(found.values())) if len(found) == 1 else None


def _commit_and_ref(
    location: SourceLocation | None, stated_ref: str | None, dependencies: Sequence[_Dependency]
) -> tuple[str | None, str | None]:
    """The one commit of the source repository, among the dependencies at the stated ref; and that ref."""
    if location is None:
        return None, stated_ref
    matching = [
        (dependency, at)
        for dependency, at in _located(dependencies)
        if at.repository == location.repository and (stated_ref is None or at.ref in (None, stated_ref))
    ]
    commits = {_commit(dependency.digest or {}) for dependency, _ in matching}
    refs = {at.ref for _, at in matching}
    ref = stated_ref if stated_ref is not None else refs.pop() if len(refs) == 1 else None
    return commits.pop() if len(commits) == 1 else None, ref


def _located(dependencies: Sequence[_Dependency]) -> Iterator[tuple[_Dependency, SourceLocation]]:
    """Dependencies that are git repositories at a commit; container images and archives are not."""
    for dependency in dependencies:
        # The digest first: most dependencies are archives, and a look at it costs less than one at the URI.
        if dependency.uri is None or dependency.digest is None or _commit(dependency.digest) is None:
            continue
        location = find_source_uri(dependency.uri)
        if location is not None:
            yield dependency, location


def _commit(digest: Mapping[str, str]) -> str | None:
    """The git commit of a dependency; Tekton Chains and BuildKit file it under `sha1`."""
    commit = digest.get("gitCommit", digest.get("sha1"))
    return commit if commit is not None and is_commit(commit) else None


def _definition(builder_id: str, stated: _Stated, location: SourceLocation | None, commit: str | None) -> str | None:
    """Where the workflow that did the work stands.

    A builder id that is a workflow names its ref behind the last `@`; a Tekton reference names its revision. What lies
    in the source repository, at the ref that was built, stands at the commit that was built.
    """
    path, at, ref = builder_id.rpartition("@")
    repository = "" if location is None else f"https://{location.repository}"
    if at and "/" in path.removeprefix("https://"):
        own = path == f"{repository}/{stated.workflow}" and ref == stated.ref
        return commit if own else require_visible(ref, what="ref of the builder id")
    if stated.revision is not None:
        return require_visible(stated.revision, what="revision of the pipeline") if stated.revision else None
    return commit if stated.workflow is not None else None


def _triggered_by(metadata: _Metadata, definition: _BuildDefinition, location: SourceLocation | None) -> str | None:
    if metadata.triggered_by is not None:
        return require_identifier(metadata.triggered_by, what=TRIGGERED_BY)
    # The SLSA generator for GitHub states the numeric id; names can be registered again by others.
    actor = (definition.internal_parameters or {}).get("GITHUB_ACTOR_ID")
    if definition.build_type in _GITHUB and location is not None and isinstance(actor, str) and _ACTOR.fullmatch(actor):
        return f"login:https://{location.repository.partition('/')[0]}#{actor}"
    return None


def _dotted(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Names of all set parameters; unset, null and empty are the same (SLSA 1.2, "Parsing rules").

    A name that could be mistaken for a path is quoted: {"a.b": 1} is `"a.b"`, {"a": {"b": 1}} is `a.b`.
    """
    for name, value in parameters.items():
        path = prefix + (name if _BARE_NAME.fullmatch(name) else json.dumps(name))
        if isinstance(value, dict):
            yield from _dotted(value, f"{path}.")
        elif value is not None and value != []:
            yield path


def _time(text: str | None, field: str) -> datetime | None:
    # Go programs write an unset time as the year 1.
    return None if text in (None, "", _UNSET_CLOCK) else parse_time(str(text), what=f"{field} of the provenance")
