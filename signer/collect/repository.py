# SPDX-License-Identifier: Apache-2.0
"""What a git repository says of a change: its commits and its files, read by git itself.

git is started with fixed arguments and full commit ids; names that a caller gives are resolved first, behind
`--end-of-options`. What a repository's own settings could make git run is switched off, and so is fetching.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from signer.collect.runner import without_user
from signer.errors import Malformed, Misconfigured
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.shape import one_line
from signer.formats.statement import is_commit

MAX_COMMITS = 10_000
MAX_REFERENCE = 256
SECONDS = 120

_GIT = (
    "git", "--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null",
    "-c", "log.showSignature=false", "-c", "diff.external=", "-c", "core.quotePath=false", "-c", "protocol.allow=never",
)  # fmt: skip
_FIELDS = ("%H", "%P", "%an <%ae>", "%aI", "%cn <%ce>", "%cI", "%s")
_BETWEEN = "\x1f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit; texts are printable, times are UTC."""

    id: str
    parents: tuple[str, ...]
    author: str
    authored: datetime
    committer: str
    committed: datetime
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile:
    """One file and how many lines came and went; None for a binary file."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Everything between two commits: what `head` reaches and `base` does not, newest first."""

    repository: str
    base: str
    head: str
    commits: tuple[Commit, ...]
    files: tuple[ChangedFile, ...]


def read_change(folder: Path, *, base: str, head: str, repository: str | None) -> Change:
    """Read the change from the repository at `folder`; raises Malformed, and Misconfigured without git."""
    if _git(folder, "rev-parse", "--is-shallow-repository").strip() != "false":
        raise Malformed(
            "git-shallow",
            "the clone is shallow, so a list of commits could be cut off without a trace",
            remedy="fetch the whole history: fetch-depth: 0 on GitHub, GIT_DEPTH: 0 on GitLab, git fetch --unshallow",
        )
    first, last = _commit(folder, base, "--base"), _commit(folder, head, "--head")
    return Change(
        repository=one_line(without_user(repository if repository is not None else _origin(folder))),
        base=first,
        head=last,
        commits=tuple(_commits(folder, first, last)),
        files=tuple(_files(folder, first, last)),
    )


def _commit(folder: Path, reference: str, option: str) -> str:
    if not 0 < len(reference) <= MAX_REFERENCE or not reference.isprintable():
        raise Malformed("git-reference", f"{option} is not the name of a commit", remedy="give a commit, tag or branch")
    try:
        found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}").strip()
    except Malformed:
        found = ""
    if not is_commit(found):
        raise Malformed(
            "git-reference",
            f"{option} {one_line(reference)} is no commit of this repository",
            remedy="fetch it, or name another; the first commit of all has no base",
        )
    return found


def _origin(folder: Path) -> str:
    """The address that the clone came from, as the repository tells it; empty when it tells none."""
    return next(
        (line for line in _git(folder, "config", "--default", "", "--get", "remote.origin.url").splitlines()), ""
    )


def _commits(folder: Path, base: str, head: str) -> Iterator[Commit]:
    text = _git(
        folder, "log", "-z", f"--max-count={MAX_COMMITS + 1}", "--no-show-signature", "--no-color", "--encoding=UTF-8",
        f"--format={'%x1f'.join(_FIELDS)}", f"{base}..{head}", "--",
    )  # fmt: skip
    records = [record for record in text.split("\0") if record]
    if len(records) > MAX_COMMITS:
        raise Malformed(
            "git-range", f"the range holds more than {MAX_COMMITS} commits", remedy="name a --base that is nearer"
        )
    for record in records:
        parts = record.split(_BETWEEN)
        if len(parts) < len(_FIELDS):
            raise Malformed("git-failed", "git did not answer in the form that was asked for")
        commit, parents, author, authored, committer, committed = parts[:6]
        yield Commit(
            id=commit,
            parents=tuple(parents.split()),
            author=one_line(author),
            authored=parse_time(authored, what="author's time of a commit"),
            committer=one_line(committer),
            committed=parse_time(committed, what="committer's time of a commit"),
            subject=one_line(_BETWEEN.join(parts[6:])),
        )


def _files(folder: Path, base: str, head: str) -> Iterator[ChangedFile]:
    # Three dots: what the change itself did since it left the base, as a pull request shows it.
    text = _git(
        folder, "diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color",
        f"{base}...{head}", "--",
    )  # fmt: skip
    for record in filter(None, text.split("\0")):
        added, removed, path = record.split("\t", 2)
        yield ChangedFile(
            path=one_line(path),
            added=int(added) if added != "-" else None,
            removed=int(removed) if removed != "-" else None,
        )


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; raises Malformed with git's last line when it fails."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_CONFIG_HOME") if name in os.environ}
    environment |= {"LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_PAGER": "cat"}
    try:
        ended = subprocess.run(  # noqa: S603 - fixed options, then ids that were resolved
            [*_GIT, "-C", str(folder.absolute()), *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=SECONDS, env=environment,
        )  # fmt: skip
    except FileNotFoundError:
        raise Misconfigured(
            "git-missing", "git is not installed here", remedy="install git in the image of this job"
        ) from None
    except subprocess.TimeoutExpired:
        raise Malformed(
            "git-failed", f"git did not answer within {SECONDS} s", remedy="name a --base that is nearer"
        ) from None
    if ended.returncode != 0:
        lines = ended.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise Malformed(
            "git-failed",
            f"git {arguments[0]} failed: {one_line(lines[0])[:300]}",
            remedy="run it in the checkout; a mounted one needs git config --global --add safe.directory PATH",
        )
    return ended.stdout.decode("utf-8", "backslashreplace")


def written(time: datetime) -> str:
    """A commit's time: git keeps whole seconds."""
    return format_time(time).replace(".000000", "")
