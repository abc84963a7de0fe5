# SPDX-License-Identifier: Apache-2.0
"""Runner metadata holds what is listed and nothing else of the environment."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from signer.collect.runner import PLATFORMS, platform_of, runner_metadata
from signer.errors import Malformed

NOW = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
SECRETS = {
    "GITHUB_TOKEN": "canary-1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "canary-2", "ACTIONS_RUNTIME_TOKEN": "canary-3",
    "CI_JOB_TOKEN": "canary-4", "CI_REPOSITORY_URL": "https://gitlab-ci-token:canary-5@gitlab.example/a.git",
    "CI_REGISTRY_PASSWORD": "canary-6", "CI_DEPLOY_PASSWORD": "canary-7", "AWS_SECRET_ACCESS_KEY": "canary-8",
    "COSIGN_PASSWORD": "canary-9", "SIGNER_CLIENT_KEY": "canary-10", "PATH": "canary-11",
}  # fmt: skip


def job(platform: str) -> dict[str, str]:
    known = PLATFORMS[platform]
    return {**{name: f"{name}-value" for name in (*known.needed, *known.others)}, known.mark: "true"}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_job_is_told_by_its_mark_and_described_by_the_list(platform: str) -> None:
    environ = {**job(platform), **SECRETS}
    assert platform_of(environ) == platform
    data = runner_metadata(environ, platform=platform, now=NOW)
    document = json.loads(data)
    assert b"canary" not in data
    assert document["platform"] == platform
    assert document["collected_at"] == "2026-11-23T09:05:00.000000Z"
    assert set(document["variables"]) == {*PLATFORMS[platform].needed, *PLATFORMS[platform].others}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_listed_name_is_that_of_a_secret(platform: str) -> None:
    names = (*PLATFORMS[platform].needed, *PLATFORMS[platform].others)
    assert [name for name in names for word in ("TOKEN", "PASS", "SECRET", "KEY", "CREDENTIAL") if word in name] == []
    assert not set(names) & set(SECRETS)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        pytest.param(
            "https://user:canary@git.example/a.git", "https://git.example/a.git", id="a password in an address"
        ),
        pytest.param("a\nb\x1b[2J", "a\\nb\\x1b[2J", id="control characters"),
        pytest.param("x" * 5000, "x" * 1024 + "…", id="a long value"),
    ],
)
def test_a_value_is_one_bounded_line_without_a_user(value: str, kept: str) -> None:
    data = runner_metadata({**job("jenkins"), "GIT_URL": value}, platform="jenkins", now=NOW)
    assert json.loads(data)["variables"]["GIT_URL"] == kept


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_job_that_cannot_be_found_again_is_refused(platform: str) -> None:
    for name in PLATFORMS[platform].needed:
        with pytest.raises(Malformed) as refused:
            runner_metadata({**job(platform), name: ""}, platform=platform, now=NOW)
        assert refused.value.code == "runner-incomplete"
        assert name in refused.value.detail


@pytest.mark.parametrize("environ", [SECRETS, {**job("github"), **job("jenkins")}], ids=["none", "two"])
def test_the_platform_is_never_guessed(environ: dict[str, str]) -> None:
    with pytest.raises(Malformed) as refused:
        platform_of(environ)
    assert refused.value.code == "runner-unknown"
    assert "--platform" in refused.value.remedy
