# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from signer.errors import Malformed
from signer.formats.provenance import TRIGGERED_BY, Provenance, read_provenance

COMMIT = "51c0de" + "0" * 34
OTHER_COMMIT = "d" * 40
MAIN = "refs/heads/main"

GITHUB: dict[str, Any] = {
    "buildDefinition": {
        "buildType": "https://actions.github.io/buildtypes/workflow/v1",
        "externalParameters": {
            "workflow": {
                "ref": MAIN,
                "repository": "https://github.com/acme/shop",
                "path": ".github/workflows/release.yml",
            }
        },
        "internalParameters": {"github": {"event_name": "push", "repository_id": "1", "repository_owner_id": "2"}},
        "resolvedDependencies": [{"uri": f"git+https://github.com/acme/shop@{MAIN}", "digest": {"gitCommit": COMMIT}}],
    },
    "runDetails": {
        "builder": {"id": "https://github.com/acme/builders/.github/workflows/build.yml@refs/tags/v2"},
        "metadata": {
            "invocationId": "https://github.com/acme/shop/actions/runs/1/attempts/1",
            "startedOn": "2026-11-23T09:00:00Z",
            "finishedOn": "2026-11-23T09:05:00.5Z",
        },
    },
}
TEKTON: dict[str, Any] = {
    "buildDefinition": {
        "buildType": "https://tekton.dev/chains/v2/slsa",
        "externalParameters": {
            "runSpec": {
                "pipelineRef": {
                    "resolver": "git",
                    "params": [
                        {"name": "url", "value": "https://github.com/acme/pipelines"},
                        {"name": "pathInRepo", "value": "release/pipeline.yaml"},
                    ],
                },
                "params": [{"name": "image", "value": "registry.example/shop"}],
            }
        },
        "internalParameters": {"labels": {}},
        "resolvedDependencies": [
            {"uri": "oci://registry.example/task", "digest": {"sha256": "a" * 64}, "name": "task"},
            {"uri": "git+https://github.com/acme/pipelines.git", "digest": {"sha1": "e" * 40}, "name": "pipeline"},
            {"uri": "git+https://github.com/acme/shop.git", "digest": {"sha1": COMMIT}, "name": "inputs/result"},
        ],
    },
    "runDetails": {
        "builder": {"id": "https://tekton.dev/chains/v2"},
        "metadata": {"startedOn": "2026-11-23T09:00:00Z", "finishedOn": "0001-01-01T00:00:00Z"},
    },
}
GITLAB: dict[str, Any] = {
    "buildDefinition": {
        "buildType": "https://gitlab.com/gitlab-org/gitlab-runner/-/blob/v17/PROVENANCE.md",
        "externalParameters": {
            "source": "https://gitlab.com/acme/shop",
            "entryPoint": "build",
            "variables": {"CI": "[MASKED]", "DEPLOY": "1"},
        },
        "resolvedDependencies": [{"uri": "https://gitlab.com/acme/shop", "digest": {"gitCommit": COMMIT}}],
    },
    "runDetails": {"builder": {"id": "https://gitlab.com/acme/shop/-/runners/7"}},
}


def changed(base: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    copy = deepcopy(base)
    inner = copy
    for name in path[:-1]:
        inner = inner[name]
    if to is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return copy


def dependencies(*found: tuple[str, dict[str, str] | None]) -> dict[str, Any]:
    return changed(
        GITHUB, "buildDefinition", "resolvedDependencies", to=[{"uri": uri, "digest": digest} for uri, digest in found]
    )


def test_reads_github() -> None:
    assert read_provenance(GITHUB) == Provenance(
        builder_id="https://github.com/acme/builders/.github/workflows/build.yml@refs/tags/v2",
        build_type="https://actions.github.io/buildtypes/workflow/v1",
        repository="github.com/acme/shop",
        ref=MAIN,
        commit=COMMIT,
        workflow=".github/workflows/release.yml",
        parameters=("workflow.path", "workflow.ref", "workflow.repository"),
        dependencies=1,
        undigested=0,
        triggered_by=None,
        started=datetime(2026, 11, 23, 9, tzinfo=UTC),
        finished=datetime(2026, 11, 23, 9, 5, 0, 500_000, UTC),
        definition="refs/tags/v2",
        logs=(),
        secrets=None,
        bare=(),
    )


REUSABLE = "https://github.com/acme/builders/.github/workflows/build.yml"
OWN = "https://github.com/acme/shop/.github/workflows/release.yml"

DEFINITIONS: dict[str, tuple[dict[str, Any], str, str | None]] = {
    "a reusable workflow at a tag stands at that tag": (GITHUB, f"{REUSABLE}@refs/tags/v2", "refs/tags/v2"),
    "a reusable workflow at a commit stands there": (GITHUB, f"{REUSABLE}@{'b' * 40}", "b" * 40),
    "the workflow of the source itself stands at the commit that was built": (GITHUB, f"{OWN}@{MAIN}", COMMIT),
    "the same file at another ref is another workflow": (GITHUB, f"{OWN}@refs/heads/x", "refs/heads/x"),
    "a builder that is no workflow leaves the one of the source": (GITHUB, "https://dev.invalid/builder", COMMIT),
    "an @ in a host is no ref": (GITHUB, "https://me@dev.invalid", COMMIT),
    "a Tekton pipeline without a revision stands nowhere": (TEKTON, "https://tekton.dev/chains/v2", None),
    "a GitLab pipeline stands at the commit that was built": (GITLAB, "https://gitlab.com/acme/shop/-/r/7", COMMIT),
}


@pytest.mark.parametrize(("base", "builder", "expected"), DEFINITIONS.values(), ids=DEFINITIONS)
def test_the_definition_of_a_build_stands_at(base: dict[str, Any], builder: str, expected: str | None) -> None:
    assert read_provenance(changed(base, "runDetails", "builder", "id", to=builder)).definition == expected


@pytest.mark.parametrize("revision", ["main", "d" * 40])
def test_a_tekton_pipeline_stands_at_the_revision_that_was_asked_for(revision: str) -> None:
    found = deepcopy(TEKTON)
    reference = found["buildDefinition"]["externalParameters"]["runSpec"]["pipelineRef"]
    reference["params"].append({"name": "revision", "value": revision})
    assert read_provenance(found).definition == revision


def test_without_a_workflow_or_a_commit_no_place_is_told() -> None:
    bare = changed(GITLAB, "buildDefinition", "externalParameters", to={})
    assert read_provenance(bare).definition is None
    undigested = changed(dependencies(), "runDetails", "builder", "id", to="https://dev.invalid/builder")
    assert read_provenance(undigested).definition is None


def test_a_byproduct_is_a_log_by_its_name_and_sha256() -> None:
    byproducts = [
        {"name": "build-log", "digest": {"sha256": "a" * 64}},
        {"name": "build-log", "digest": {"sha256": "a" * 63}},
        {"name": "build-log", "digest": {"sha512": "a" * 128}},
        {"name": "other", "digest": {"sha256": "b" * 64}},
        {"digest": {"sha256": "c" * 64}},
    ]
    assert read_provenance(changed(GITHUB, "runDetails", "byproducts", to=byproducts)).logs == ("a" * 64,)


def test_secrets_are_told_by_name_once_and_sorted() -> None:
    told = changed(GITHUB, "buildDefinition", "internalParameters", to={"authority_secrets": ["b", "a", "b"]})
    assert read_provenance(told).secrets == ("a", "b")
    none = changed(GITHUB, "buildDefinition", "internalParameters", to={"authority_secrets": []})
    assert read_provenance(none).secrets == ()
    assert read_provenance(changed(GITHUB, "buildDefinition", "internalParameters", to={})).secrets is None


@pytest.mark.parametrize("names", ["TOKEN", [1], [""], ["a\nb"], {}])
def test_secrets_of_another_form_are_refused(names: object) -> None:
    with pytest.raises(Malformed):
        read_provenance(changed(GITHUB, "buildDefinition", "internalParameters", to={"authority_secrets": names}))


def test_reads_tekton_with_its_sha1_commit() -> None:
    found = read_provenance(TEKTON)
    assert (found.repository, found.ref, found.commit) == ("github.com/acme/shop", None, COMMIT)
    assert found.workflow == "release/pipeline.yaml"
    assert found.parameters == (
        "runSpec.params",
        "runSpec.pipelineRef.params",
        "runSpec.pipelineRef.resolver",
    )
    assert (found.dependencies, found.undigested) == (3, 0)
    assert found.finished is None, "the unset clock of a Go program is not a time"


def test_reads_gitlab() -> None:
    found = read_provenance(GITLAB)
    assert (found.repository, found.ref, found.commit) == ("gitlab.com/acme/shop", None, COMMIT)
    assert found.workflow == "build"
    assert found.parameters == ("entryPoint", "source", "variables.CI", "variables.DEPLOY")
    assert (found.started, found.finished) == (None, None)


def test_reads_the_slsa_example_shape() -> None:
    found = read_provenance(
        {
            "buildDefinition": {
                "buildType": "https://example.com/build/v1",
                "externalParameters": {"repository": "https://github.com/acme/shop", "ref": MAIN},
                "resolvedDependencies": [
                    {"uri": f"git+https://github.com/acme/shop@{MAIN}", "digest": {"gitCommit": COMMIT}}
                ],
            },
            "runDetails": {"builder": {"id": "https://example.com/builder"}},
        }
    )
    assert (found.repository, found.ref, found.commit, found.workflow) == ("github.com/acme/shop", MAIN, COMMIT, None)


GENERIC = changed(GITHUB, "buildDefinition", "externalParameters", to={})
GENERIC["buildDefinition"]["buildType"] = "https://example.com/build/v1"


def test_the_only_git_dependency_is_the_source_when_no_parameter_names_it() -> None:
    found = read_provenance(GENERIC)
    assert (found.repository, found.ref, found.commit) == ("github.com/acme/shop", MAIN, COMMIT)


SHOP = f"git+https://github.com/acme/shop@{MAIN}"
UNKNOWN_COMMIT = [
    pytest.param(dependencies(), id="no dependency"),
    pytest.param(
        dependencies(("git+https://github.com/acme/other@main", {"gitCommit": COMMIT})), id="another repository"
    ),
    pytest.param(
        dependencies(("git+https://github.com/acme/shop@refs/heads/evil", {"gitCommit": COMMIT})),
        id="another ref than the stated one",
    ),
    pytest.param(
        dependencies((SHOP, {"gitCommit": COMMIT}), (SHOP, {"gitCommit": OTHER_COMMIT})),
        id="two commits of the source repository",
    ),
    pytest.param(dependencies((SHOP, None)), id="no digest"),
    pytest.param(dependencies((SHOP, {"gitCommit": COMMIT[:12]})), id="a short commit"),
    pytest.param(dependencies((SHOP, {"sha256": "a" * 64})), id="a digest of something else"),
    pytest.param(
        dependencies((f"git+https://x@github.com/acme/shop@{MAIN}", {"gitCommit": COMMIT})), id="E12 userinfo"
    ),
    pytest.param(
        dependencies((f"git+https://github.com/acme/%73hop@{MAIN}", {"gitCommit": COMMIT})), id="E12 percent-encoding"
    ),
]


@pytest.mark.parametrize("predicate", UNKNOWN_COMMIT)
def test_the_commit_is_unknown(predicate: dict[str, Any]) -> None:
    found = read_provenance(predicate)
    assert (found.repository, found.commit) == ("github.com/acme/shop", None)


def test_of_two_git_dependencies_none_is_the_source() -> None:
    two = deepcopy(GENERIC)
    two["buildDefinition"]["resolvedDependencies"].append(
        {"uri": "git+https://github.com/acme/other@main", "digest": {"gitCommit": OTHER_COMMIT}}
    )
    found = read_provenance(two)
    assert (found.repository, found.ref, found.commit) == (None, None, None)


def test_of_two_tekton_inputs_none_is_the_source() -> None:
    two = deepcopy(TEKTON)
    two["buildDefinition"]["resolvedDependencies"].append(
        {"uri": "git+https://github.com/acme/other", "digest": {"sha1": OTHER_COMMIT}, "name": "inputs/result"}
    )
    assert read_provenance(two).repository is None


def test_counts_dependencies_without_digest() -> None:
    found = read_provenance(dependencies((SHOP, {"gitCommit": COMMIT}), ("pkg:npm/a@1", None), ("pkg:npm/b@1", {})))
    assert (found.dependencies, found.undigested, found.bare) == (3, 2, ("pkg:npm/a@1", "pkg:npm/b@1"))


PARAMETERS = [
    pytest.param({"a": 1, "b": {"c": "x"}}, ("a", "b.c"), id="nested"),
    pytest.param({"inputs": {}, "vars": None, "list": []}, (), id="unset, null and empty are the same"),
    pytest.param({"a": False, "b": 0, "c": ""}, ("a", "b", "c"), id="false, zero and empty text are set"),
    pytest.param({"a": [{"b": 1}]}, ("a",), id="a list is one parameter"),
    pytest.param({"workflow.ref": 1}, ('"workflow.ref"',), id="a dotted name cannot pass for a path"),
    pytest.param({"a": {"b.c": 1, "b": {"c": 1}}}, ('a."b.c"', "a.b.c"), id="both at once"),
    pytest.param({"": 1, "é": 1}, ('""', '"\\u00e9"'), id="names outside ASCII are escaped"),
]


@pytest.mark.parametrize(("parameters", "names"), PARAMETERS)
def test_names_all_external_parameters(parameters: dict[str, Any], names: tuple[str, ...]) -> None:
    found = read_provenance(changed(GENERIC, "buildDefinition", "externalParameters", to=parameters))
    assert found.parameters == tuple(sorted(names))


def triggered(identifier: Any) -> dict[str, Any]:
    return changed(GITHUB, "runDetails", "metadata", to={TRIGGERED_BY: identifier})


@pytest.mark.parametrize(
    "identifier",
    ["email:alice@dev.invalid", "login:https://github.com#1234", "san:spiffe://dev.invalid/robot/ci"],
)
def test_reads_who_triggered_the_build(identifier: str) -> None:
    assert read_provenance(triggered(identifier)).triggered_by == identifier


def test_reads_the_numeric_actor_of_the_slsa_generator() -> None:
    generator = changed(GITHUB, "buildDefinition", "internalParameters", to={"GITHUB_ACTOR_ID": "1234"})
    assert read_provenance(generator).triggered_by == "login:https://github.com#1234"


def test_an_actor_id_means_nothing_outside_github_builds() -> None:
    other = changed(GENERIC, "buildDefinition", "internalParameters", to={"GITHUB_ACTOR_ID": "1234"})
    assert read_provenance(other).triggered_by is None


REFUSED = [
    pytest.param({}, id="E06 empty"),
    pytest.param(changed(GITHUB, "buildDefinition", to=...), id="E06 no build definition"),
    pytest.param(changed(GITHUB, "runDetails", to=...), id="E06 no run details"),
    pytest.param(changed(GITHUB, "runDetails", "builder", to={}), id="E06 no builder id"),
    pytest.param(changed(GITHUB, "runDetails", "builder", "id", to=""), id="E06 empty builder id"),
    pytest.param(changed(GITHUB, "runDetails", "builder", "id", to=7), id="P07 a builder id that is a number"),
    pytest.param(
        changed(GITHUB, "runDetails", "builder", "id", to="https://b\u0456lder"), id="E12 a look-alike builder id"
    ),
    pytest.param(changed(GITHUB, "runDetails", "builder", "id", to="https://b\u202eilder"), id="a bidi builder id"),
    pytest.param(changed(GITHUB, "runDetails", "builder", "id", to="https://" + "b" * 512), id="a huge builder id"),
    pytest.param(changed(GITHUB, "buildDefinition", "buildType", to=...), id="E06 no build type"),
    pytest.param(changed(GITHUB, "buildDefinition", "externalParameters", to=...), id="E06 no external parameters"),
    pytest.param(changed(GITHUB, "buildDefinition", "externalParameters", to={}), id="E06 GitHub without workflow"),
    pytest.param(
        changed(GITHUB, "buildDefinition", "externalParameters", "workflow", to="x"), id="a workflow that is text"
    ),
    pytest.param(
        changed(
            GITHUB, "buildDefinition", "externalParameters", "workflow", "repository", to="https://evil@github.com/a/b"
        ),
        id="E12 userinfo in the source",
    ),
    pytest.param(
        changed(GITHUB, "buildDefinition", "externalParameters", "workflow", "ref", to="refs/heads/a b"), id="a bad ref"
    ),
    pytest.param(
        changed(GITHUB, "buildDefinition", "externalParameters", "workflow", "path", to="a\nb"), id="a bad path"
    ),
    pytest.param(
        changed(GITHUB, "buildDefinition", "resolvedDependencies", to={}), id="dependencies that are an object"
    ),
    pytest.param(changed(GITHUB, "buildDefinition", "resolvedDependencies", to=["x"]), id="a dependency that is text"),
    pytest.param(changed(GITHUB, "runDetails", "metadata", "startedOn", to="yesterday"), id="a time that is none"),
    pytest.param(changed(GITHUB, "runDetails", "metadata", "finishedOn", to="2026-11-23"), id="P11 a date alone"),
    pytest.param(changed(TEKTON, "buildDefinition", "externalParameters", to={}), id="E06 Tekton without runSpec"),
    pytest.param(
        changed(GITLAB, "buildDefinition", "externalParameters", "source", to="git@gitlab.com:a/b"),
        id="scp-like source",
    ),
    pytest.param(triggered("alice"), id="a trigger without kind"),
    pytest.param(triggered("email:a b@dev.invalid"), id="a trigger with a space"),
    pytest.param(triggered(7), id="a trigger that is a number"),
]


@pytest.mark.parametrize("predicate", REFUSED)
def test_refuses(predicate: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as refused:
        read_provenance(predicate)
    assert refused.value.code == "evidence-invalid"
