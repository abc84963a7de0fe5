# SPDX-License-Identifier: Apache-2.0
"""Transcripts: what is typed, the exit code, and what stands on stdout and stderr."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from signer.cli import COMMANDS, cli
from tests.unit.cli.conftest import Run, Signer

NOTHING = r"\A\Z"
HEX = "ab" * 32

TRANSCRIPTS: dict[str, tuple[str, int, str, str]] = {
    "the version": ("version", 0, r"\A\d+\.\d+\.\d+\n\Z", NOTHING),
    "the version as JSON": ("version -o json", 0, r'"result": "version", "schema": "signer-cli/v1"', NOTHING),
    "the mode before the command": ("-o json version", 0, r'\A\{.*"version": ', NOTHING),
    "the help": ("--help", 0, r"Exit codes: 0 done", NOTHING),
    "the short help of a command": ("verify -h", 0, r"--max-age DURATION", NOTHING),
    "no command": ("", 2, NOTHING, r"\[usage\]"),
    "an unknown command": ("frobnicate", 2, NOTHING, r"No such command 'frobnicate'.*\[usage\]\n  hint: signer --help"),
    "an unknown command as JSON": ("frobnicate -o json", 2, r'"exit": 2, "result": "usage"', r"\[usage\]"),
    "an unknown option": ("verify --insecure", 2, NOTHING, r"No such option"),
    "an unknown output": ("version -o yaml", 2, NOTHING, r"'yaml' is not one of"),
    "an unknown subcommand": ("log erase", 2, NOTHING, r"No such command 'erase'"),
    "verify without a bundle": ("verify --trust t --subject x", 2, NOTHING, r"Missing option '--bundle'"),
    "verify of a missing file": ("verify --trust t --bundle /none --subject x", 2, NOTHING, r"/none.* does not exist"),
    "verify without a subject": ("verify --trust t --bundle FILE", 2, NOTHING, r"at least one subject"),
    "verify with half a digest": (
        "verify --trust t --bundle FILE --subject a@sha256:abc",
        2,
        NOTHING,
        r"64 lower-case hexadecimal digits \[invalid-digest\]",
    ),
    "verify of a tag": ("verify --trust t --bundle FILE --subject shop:latest", 2, NOTHING, r"\[invalid-digest\]"),
    "verify with a strange age": (
        f"verify --trust t --bundle FILE --subject sha256:{HEX} --max-age soon",
        2,
        NOTHING,
        r"'soon' is not a duration",
    ),
    "verify without trust": (
        f"verify --bundle FILE --subject sha256:{HEX}",
        78,
        NOTHING,
        r"'trust' is not set.*\n  hint: set SIGNER_TRUST",
    ),
    "verify with missing trust": (
        f"verify --trust /none --bundle FILE --subject sha256:{HEX}",
        2,
        NOTHING,
        r"/none: No such file or directory \[file-error\]",
    ),
    "sign without an address": (
        f"sign --policy p --environment e --subject x@sha256:{HEX}",
        78,
        NOTHING,
        r"'url' is not set.*\n  hint: set SIGNER_URL",
    ),
    "sign over plain HTTP": (
        f"sign --url http://x --policy p --environment e --subject x@sha256:{HEX}",
        78,
        NOTHING,
        r"\[url-invalid\]",
    ),
    "sign into a folder that is not there": (
        f"sign --url https://x --policy p --environment e --subject x@sha256:{HEX} --bundle /none/b",
        2,
        NOTHING,
        r"/none/b cannot be written",
    ),
    "sign with missing evidence": (
        f"sign --policy p --environment e --subject x@sha256:{HEX} --evidence /none",
        2,
        NOTHING,
        r"/none.* does not exist",
    ),
    "evidence of an unknown kind": ("evidence add --policy p --kind diary FILE", 2, NOTHING, r"'diary' is not one of"),
    "a document without a subject": (
        "evidence add --policy p --kind build-log FILE",
        2,
        NOTHING,
        r"needs at least one --subject",
    ),
    "a subject without a kind": (
        f"evidence add --policy p --subject sha256:{HEX} FILE",
        2,
        NOTHING,
        r"add --kind",
    ),
    "a key that is none": (
        f"owner sign --action policy --sha256 {HEX} --number 1 --origin o --key FILE --out /tmp/never",
        78,
        NOTHING,
        r"\[key-unreadable\]",
    ),
    "a halt without a reason": ("halt", 2, NOTHING, r"Missing option '--reason'"),
    "a resume without signatures": ("resume --halt-index 1", 2, NOTHING, r"Missing option '--signature'"),
    "keys without settings": ("keys create release", 78, NOTHING, r"'config' is not set"),
    "two ledgers at once": (
        "log checkpoint --database x --directory DIRECTORY",
        2,
        NOTHING,
        r"two different ledgers",
    ),
    "a timeout that is none": (
        "keys list --url https://x --timeout soon",
        78,
        NOTHING,
        r"timeout 'soon' is not a number",
    ),
    "the settings": ("config show --url https://x", 0, r"url +https://x +flag +SIGNER_URL", NOTHING),
    "bash completion": ("completion bash", 0, r"_SIGNER_COMPLETE=bash_complete", NOTHING),
    "zsh completion": ("completion zsh", 0, r"#compdef signer", NOTHING),
    "fish completion": ("completion fish", 0, r"complete --no-files --command signer", NOTHING),
    "completion of no shell": ("completion dos", 2, NOTHING, r"'dos' is not one of"),
}


@pytest.mark.parametrize(("typed", "code", "out", "err"), TRANSCRIPTS.values(), ids=TRANSCRIPTS)
def test_a_command_answers(  # noqa: PLR0917 - one row of the table each
    typed: str, code: int, out: str, err: str, signer: Signer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"some bytes")
    words = typed.replace("FILE", str(tmp_path / "file")).replace("DIRECTORY", str(tmp_path)).split()
    ended = signer(*words)
    assert ended.code == code, ended
    assert re.search(out, ended.out), ended.out
    assert re.search(err, ended.err), ended.err


def test_no_usage_text_is_dumped_on_failure(signer: Signer) -> None:
    assert "Options:" not in signer("verify", "--insecure").err


def test_the_mode_comes_from_the_variable(signer: Signer) -> None:
    assert signer("version", SIGNER_OUTPUT="json").document["exit"] == 0
    assert signer("frobnicate", SIGNER_OUTPUT="json").document["exit"] == 2


def test_the_mode_comes_from_the_file(signer: Signer, tmp_path: Path) -> None:
    written(tmp_path, 'output = "json"')
    assert "settings" in signer("config", "show").document
    assert signer("config", "show", "-o", "text").out.startswith("url ")


def test_an_unknown_key_of_the_file_is_refused(signer: Signer, tmp_path: Path) -> None:
    written(tmp_path, 'uri = "https://x"')
    ended = signer("config", "show", "-o", "json")
    assert (ended.code, ended.document["error"]["code"]) == (78, "settings-invalid")


def test_the_working_directory_configures_nothing(
    signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "signer").mkdir(parents=True)
    for name in ("client.toml", "signer/client.toml", "signer.toml"):
        (here / name).write_text('url = "https://evil.example"')
    monkeypatch.chdir(here)
    assert "evil" not in signer("config", "show").out
    assert "evil" not in signer("config", "show", XDG_CONFIG_HOME=".").out


def written(tmp_path: Path, text: str) -> None:
    path = tmp_path / "xdg" / "signer" / "client.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def leaves(group: click.Group, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"signer {' '.join((*words, name))} does not load"
        found += leaves(command, (*words, name)) if isinstance(command, click.Group) else [(*words, name)]
    return found


@pytest.mark.parametrize("words", leaves(cli), ids=" ".join)
def test_every_command_has_help_of_one_screen(words: tuple[str, ...], signer: Signer) -> None:
    ended: Run = signer(*words, "--help")
    assert ended.code == 0
    assert ended.err == ""
    assert len(ended.out.splitlines()) <= 50


@pytest.mark.parametrize("name", COMMANDS)
def test_every_line_of_the_help_is_a_sentence(name: str) -> None:
    assert COMMANDS[name][1].endswith(".")
