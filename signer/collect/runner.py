# SPDX-License-Identifier: Apache-2.0
"""Where a build ran, as its CI system tells it in environment variables.

    {"collected_at":"2026-11-23T09:05:00.000000Z","machine":{"architecture":"x86_64","system":"Linux"},
     "platform":"github","variables":{"GITHUB_RUN_ID":"18273645","RUNNER_ENVIRONMENT":"github-hosted", …}}

Only the names listed here are read: tokens and job secrets stand in the same environment.
"""

from __future__ import annotations

import platform as machine
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from signer.errors import Malformed
from signer.formats.canonical import canonical
from signer.formats.rfc3339 import format_time
from signer.formats.shape import one_line

MAX_VALUE = 1024
_USER_INFO = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One CI system: the variable that tells it, those without which a job cannot be found again, and the rest."""

    mark: str
    needed: tuple[str, ...]
    others: tuple[str, ...]


PLATFORMS: Mapping[str, Platform] = {
    # docs.github.com: Variables reference, "Default environment variables"
    "github": Platform(
        mark="GITHUB_ACTIONS",
        needed=("GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_SHA"),
        others=(
            "GITHUB_ACTOR_ID", "GITHUB_EVENT_NAME", "GITHUB_JOB", "GITHUB_REF", "GITHUB_REF_PROTECTED",
            "GITHUB_REPOSITORY_ID", "GITHUB_REPOSITORY_OWNER_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_RUN_NUMBER",
            "GITHUB_SERVER_URL", "GITHUB_TRIGGERING_ACTOR", "GITHUB_WORKFLOW", "GITHUB_WORKFLOW_REF",
            "GITHUB_WORKFLOW_SHA", "ImageOS", "ImageVersion", "RUNNER_ARCH", "RUNNER_ENVIRONMENT", "RUNNER_NAME",
            "RUNNER_OS",
        ),
    ),
    # docs.gitlab.com: Predefined CI/CD variables reference
    "gitlab": Platform(
        mark="GITLAB_CI",
        needed=("CI_PROJECT_PATH", "CI_JOB_ID", "CI_COMMIT_SHA"),
        others=(
            "CI_COMMIT_BEFORE_SHA", "CI_COMMIT_REF_NAME", "CI_COMMIT_REF_PROTECTED", "CI_COMMIT_TAG",
            "CI_CONFIG_PATH", "CI_ENVIRONMENT_NAME", "CI_JOB_IMAGE", "CI_JOB_NAME", "CI_JOB_STAGE",
            "CI_JOB_STARTED_AT", "CI_JOB_URL", "CI_MERGE_REQUEST_IID", "CI_PIPELINE_ID", "CI_PIPELINE_SOURCE",
            "CI_PIPELINE_URL", "CI_PROJECT_ID", "CI_PROJECT_URL", "CI_RUNNER_DESCRIPTION",
            "CI_RUNNER_EXECUTABLE_ARCH", "CI_RUNNER_ID", "CI_RUNNER_REVISION", "CI_RUNNER_TAGS",
            "CI_RUNNER_VERSION", "CI_SERVER_URL", "CI_SERVER_VERSION", "GITLAB_USER_ID",
        ),
    ),
    # A task hands these on from $(context.…): Tekton itself sets none (tekton.dev: Variable substitutions)
    "tekton": Platform(
        mark="TEKTON_TASK_RUN_UID",
        needed=("TEKTON_TASK_RUN_NAME", "TEKTON_TASK_RUN_NAMESPACE", "TEKTON_TASK_RUN_UID"),
        others=(
            "TEKTON_NODE_NAME", "TEKTON_PIPELINE_NAME", "TEKTON_PIPELINE_RUN_NAME", "TEKTON_PIPELINE_RUN_UID",
            "TEKTON_POD_NAME", "TEKTON_SERVICE_ACCOUNT", "TEKTON_TASK_NAME",
        ),
    ),
    # www.jenkins.io: Using environment variables; and the git plugin
    "jenkins": Platform(
        mark="JENKINS_URL",
        needed=("BUILD_URL", "JOB_NAME", "BUILD_NUMBER"),
        others=(
            "BRANCH_NAME", "BUILD_ID", "BUILD_TAG", "CHANGE_ID", "CHANGE_TARGET", "CHANGE_URL", "EXECUTOR_NUMBER",
            "GIT_BRANCH", "GIT_COMMIT", "GIT_PREVIOUS_SUCCESSFUL_COMMIT", "GIT_URL", "JENKINS_URL", "NODE_LABELS",
            "NODE_NAME", "STAGE_NAME", "TAG_NAME",
        ),
    ),
}  # fmt: skip
"""Every variable that may be read, by CI system. None of them holds a secret; of an address the user part is cut."""


def platform_of(environ: Mapping[str, str]) -> str:
    """The one CI system whose job this is; raises Malformed for none and for several."""
    found = [name for name, platform in PLATFORMS.items() if environ.get(platform.mark)]
    if len(found) == 1:
        return found[0]
    raise Malformed(
        "runner-unknown",
        f"this is a job of several CI systems: {', '.join(found)}" if found else "this is no job of a known CI system",
        remedy=f"run it inside the job, or say which it is: --platform {'|'.join(PLATFORMS)}",
    )


def runner_metadata(environ: Mapping[str, str], *, platform: str, now: datetime) -> bytes:
    """The document; raises Malformed when a variable without which the job cannot be found again is missing."""
    known = PLATFORMS[platform]
    missing = [name for name in known.needed if not environ.get(name)]
    if missing:
        raise Malformed(
            "runner-incomplete",
            f"the environment of this {platform} job lacks {', '.join(missing)}",
            remedy="hand the job's variables on to this step: see the how-to of your CI system",
        )
    return canonical(
        {
            "platform": platform,
            "collected_at": format_time(now),
            "machine": {"system": machine.system(), "architecture": machine.machine()},
            "variables": {
                name: _value(environ[name]) for name in sorted((*known.needed, *known.others)) if environ.get(name)
            },
        }
    )


def without_user(address: str) -> str:
    """An address without the user and password that may stand in it."""
    return _USER_INFO.sub("", address)


def _value(text: str) -> str:
    line = one_line(without_user(text))
    return line if len(line) <= MAX_VALUE else f"{line[:MAX_VALUE]}…"
