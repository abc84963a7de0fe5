# SPDX-License-Identifier: Apache-2.0
"""A change is read from a real git repository, and nothing that stands in it makes git do anything else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from signer.collect.change import commit_range, pull_request_summary
from signer.collect.repository import read_change
from signer.errors import Malformed, Misconfigured

Git = Callable[..., str]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of four commits: a base, and a branch of three with a hostile subject and a binary file."""
    folder = tmp_path_factory.mktemp("shop")
    git = git_in(folder)
    git("init", "-q", "-b", "main")
    git("remote", "add", "origin", "https://robot:canary@git.example/acme/shop.git")
    (folder / "a.txt").write_text("one\n")
    commit(git, "Begin")
    git("tag", "base")
    (folder / "a.txt").write_text("one\ntwo\n")
    (folder / ".github" / "workflows").mkdir(parents=True)
    (folder / ".github" / "workflows" / "release.yml").write_text("on: push\n")
    commit(git, "Change | the <b>build</b> \x1b[31m`x`")
    (folder / "logo.bin").write_bytes(bytes(range(256)))
    (folder / "a b\nc.txt").write_text("odd\n")
    commit(git, "Add files")
    git("mv", "a.txt", "b.txt")
    commit(git, "Move")
    return folder


def git_in(folder: Path) -> Git:
    environ = {name: os.environ[name] for name in ("PATH",)} | {
        "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@acme.example", "GIT_AUTHOR_DATE": "2026-11-23T10:00:00+0100",
        "GIT_COMMITTER_NAME": "Bot", "GIT_COMMITTER_EMAIL": "bot@acme.example",
        "GIT_COMMITTER_DATE": "2026-11-23T09:05:00+0000",
    }  # fmt: skip

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, env=environ, check=True, capture_output=True, text=True
        ).stdout.strip()

    return git


def commit(git: Git, subject: str) -> None:
    git("add", "-A")
    git("commit", "-q", "-m", subject)


def test_a_range_lists_every_commit_with_people_and_times(shop: Path) -> None:
    git = git_in(shop)
    change = read_change(shop, base="base", head="HEAD", repository=None)
    assert change.base == git("rev-parse", "base")
    assert [each.id for each in change.commits] == git("rev-list", "base..HEAD").split()
    text = commit_range(change).decode()
    assert text.splitlines()[:4] == [
        "repository https://git.example/acme/shop.git",
        f"base       {change.base}",
        f"head       {change.head}",
        "commits    3",
    ]
    assert "canary" not in text
    assert "  author     Ada <ada@acme.example> 2026-11-23T09:00:00Z\n" in text
    assert "  subject    Change | the <b>build</b> \\x1b[31m`x`\n" in text


def test_a_summary_tells_what_git_knows_and_what_it_cannot(shop: Path) -> None:
    change = read_change(shop, base="base", head="HEAD", repository="https://git.example/acme/shop")
    text = pull_request_summary(change, pull_request="https://git.example/acme/shop/pull/7", title="Prices").decode()
    assert text.startswith("# Prices\n")
    assert "- commits: 3 by 1 author\n" in text
    assert "- changes how it is built or reviewed: .github/workflows/release.yml\n" in text
    assert "- reviews: not in the repository" in text
    assert "| logo.bin | binary | binary |\n" in text
    assert "| a b\\\\nc.txt | 1 | 0 |\n" in text
    assert "Change \\| the \\<b\\>build\\</b\\>" in text


def test_a_base_that_moved_on_is_no_part_of_the_change(shop: Path, tmp_path: Path) -> None:
    git_in(tmp_path)("clone", "-q", str(shop), "clone")
    folder = tmp_path / "clone"
    git = git_in(folder)
    git("checkout", "-q", "-b", "release", "base")
    (folder / "hotfix.txt").write_text("x\n")
    commit(git, "Mend")
    change = read_change(folder, base="release", head="main", repository=None)
    assert len(change.commits) == 3
    assert "hotfix.txt" not in {file.path for file in change.files}


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "nowhere",
        "-h",
        "--output=/tmp/x",
        "base..HEAD",
        "HEAD:a.txt",
        "a\nb",
        "x" * 300,
        "@{upload-pack=x}",
        "$(id)",
    ],
)
def test_a_reference_that_names_no_commit_is_refused(shop: Path, reference: str) -> None:
    for base, head in ((reference, "HEAD"), ("base", reference)):
        with pytest.raises(Malformed) as refused:
            read_change(shop, base=base, head=head, repository=None)
        assert refused.value.code == "git-reference"
        assert refused.value.remedy


def test_a_shallow_clone_is_refused(shop: Path, tmp_path: Path) -> None:
    git_in(tmp_path)("clone", "-q", "--depth", "2", f"file://{shop}", "clone")
    with pytest.raises(Malformed) as refused:
        read_change(tmp_path / "clone", base="HEAD~1", head="HEAD", repository=None)
    assert refused.value.code == "git-shallow"
    assert "fetch-depth: 0" in refused.value.remedy


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(Malformed) as refused:
        read_change(tmp_path, base="a", head="b", repository=None)
    assert refused.value.code == "git-failed"


def test_settings_of_the_repository_run_nothing(shop: Path, tmp_path: Path) -> None:
    git_in(tmp_path)("clone", "-q", str(shop), "clone")
    folder, trace = tmp_path / "clone", tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o700)
    git = git_in(folder)
    for name in ("core.fsmonitor", "core.pager", "pager.log", "pager.diff", "diff.external", "diff.x.textconv",
                 "diff.x.command", "gpg.program", "core.sshCommand", "core.hooksPath"):  # fmt: skip
        git("config", name, str(program))
    git("config", "log.showSignature", "true")
    (folder / ".git" / "info" / "attributes").write_text("* diff=x\n")
    change = read_change(folder, base="base", head="HEAD", repository=None)
    assert len(change.files) == 5
    assert not trace.exists()


def test_too_long_a_range_is_refused(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signer.collect.repository.MAX_COMMITS", 2)
    with pytest.raises(Malformed) as refused:
        read_change(shop, base="base", head="HEAD", repository=None)
    assert refused.value.code == "git-range"


def test_without_git_the_remedy_says_so(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Misconfigured) as refused:
        read_change(shop, base="base", head="HEAD", repository=None)
    assert refused.value.code == "git-missing"
