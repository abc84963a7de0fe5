# SPDX-License-Identifier: Apache-2.0
"""A change as the two documents of `01-source`: `commit-range.txt` for programs and people, a summary for people.

repository https://github.com/acme/shop
base       3f2a…
head       9c56…
commits    1

9c56… 2026-11-23T09:00:00Z
  parents    3f2a…
  author     Ada <ada@acme.example> 2026-11-23T08:59:00Z
  committer  Ada <ada@acme.example>
  subject    Round prices to cents
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from signer.collect.repository import Change, written

MAX_ROWS = 500
_PIPELINE = re.compile(
    r"\.github/.*|(?:.*/)?\.gitlab-ci\.yml|\.gitlab/.*|\.tekton/.*|(?:.*/)?Jenkinsfile[^/]*|(?:.*/)?CODEOWNERS"
)
"""Files that say how a change is built or who must review it."""
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~])")


def commit_range(change: Change) -> bytes:
    """`commit-range.txt`: every commit of the range."""
    return "".join(f"{line}\n" for line in _range(change)).encode()


def _range(change: Change) -> Iterator[str]:
    yield f"repository {change.repository or '-'}"
    yield f"base       {change.base}"
    yield f"head       {change.head}"
    yield f"commits    {len(change.commits)}"
    for commit in change.commits:
        yield ""
        yield f"{commit.id} {written(commit.committed)}"
        yield f"  parents    {' '.join(commit.parents) or '-'}"
        yield f"  author     {commit.author} {written(commit.authored)}"
        yield f"  committer  {commit.committer}"
        yield f"  subject    {commit.subject}"


def pull_request_summary(change: Change, *, pull_request: str | None, title: str | None) -> bytes:
    """`pull-request-summary.md`: what git knows; what it cannot know is said to be missing, never filled in."""
    return "".join(f"{line}\n" for line in _summary(change, pull_request, title)).encode()


def _summary(change: Change, pull_request: str | None, title: str | None) -> Iterator[str]:
    pipeline = [file.path for file in change.files if _PIPELINE.fullmatch(file.path)]
    authors = {commit.author for commit in change.commits}
    yield f"# {plain(title) if title else 'Change'}"
    yield ""
    yield f"- pull request: {plain(pull_request) if pull_request else 'not stated'}"
    yield f"- repository: {plain(change.repository) or 'not stated'}"
    yield f"- base: `{change.base}`"
    yield f"- head: `{change.head}`"
    yield f"- commits: {len(change.commits)} by {len(authors)} author{'' if len(authors) == 1 else 's'}"
    yield f"- files: {len(change.files)}, lines added {_sum(change, 'added')}, removed {_sum(change, 'removed')}"
    yield f"- changes how it is built or reviewed: {', '.join(map(plain, pipeline[:MAX_ROWS])) if pipeline else 'no'}"
    yield "- reviews: not in the repository; they are evidence of their own"
    yield ""
    yield "| commit | author | subject |"
    yield "|---|---|---|"
    for commit in change.commits[:MAX_ROWS]:
        yield f"| `{commit.id[:12]}` | {plain(commit.author)} | {plain(commit.subject)} |"
    yield from _more(len(change.commits), "| | | and {} more, all in commit-range.txt |")
    yield ""
    yield "| file | added | removed |"
    yield "|---|---:|---:|"
    for file in change.files[:MAX_ROWS]:
        yield f"| {plain(file.path)} | {_lines(file.added)} | {_lines(file.removed)} |"
    yield from _more(len(change.files), "| and {} more | | |")


def plain(text: str) -> str:
    """Text of any origin so that Markdown shows it as it is."""
    return _MARKUP.sub(r"\\\1", text)


def _more(count: int, row: str) -> Iterator[str]:
    if count > MAX_ROWS:
        yield row.format(count - MAX_ROWS)


def _sum(change: Change, side: str) -> int:
    return sum(getattr(file, side) or 0 for file in change.files)


def _lines(count: int | None) -> str:
    return "binary" if count is None else str(count)
