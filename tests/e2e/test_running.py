# SPDX-License-Identifier: Apache-2.0
"""The life of a development authority: halt, kills, restarts, and that it stays what it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from signer.dev.announce import three_commands
from signer.dev.directory import DevDirectory
from tests.e2e.running import SIGNER, Running, running, wait_for


def owners_resume(authority: Running, leaf: int, folder: Path, *owners: str) -> list[str | Path]:
    """Every owner's signature for the end of the halt, as arguments of `signer resume`."""
    body = folder / "halt-leaf.json"
    ran = authority.signer("log", "entry", str(leaf), "--out", body, identity="auditor")
    assert ran.code == 0, ran.err
    act = ("--action", "resume", "--number", str(leaf), "--document", body)
    signatures = [authority.owner_signs(*act, owner=owner, out=folder / f"resume.{owner}") for owner in owners]
    return [word for signature in signatures for word in ("--signature", signature)]


def test_a_halt_stops_all_signing_until_both_owners_agree(own_authority: Running, tmp_path: Path) -> None:
    assert own_authority.sign().code == 0
    assert own_authority.signer("halt", "--reason", "not mine to stop").code == 4
    halted = own_authority.signer("halt", "--reason", "drill", "-o", "json", identity="owner-1")
    assert halted.code == 0, halted.err
    leaf = halted.json["leaf"]
    refused = own_authority.sign("-o", "json")
    assert (refused.code, refused.json["result"]) == (13, "halted")

    one = owners_resume(own_authority, leaf, tmp_path, "owner-1")
    resume = ("resume", "--halt-index", str(leaf))
    assert own_authority.signer(*resume, *one, identity="owner-1").code == 4
    assert own_authority.signer(*resume, *one, *one, identity="owner-1").code != 0
    assert own_authority.sign().code == 13

    both = owners_resume(own_authority, leaf, tmp_path, "owner-1", "owner-2")
    resumed = own_authority.signer(*resume, *both, identity="owner-1")
    assert resumed.code == 0, resumed.err
    assert own_authority.sign().code == 0
    # The signatures fit one halt, once.
    assert own_authority.signer(*resume, *both, identity="owner-1").code != 0
    assert own_authority.signer("log", "verify", identity="auditor").code == 0


@pytest.mark.parametrize("part", ["custodian", "token_worker", "serve"])
def test_the_service_is_back_by_itself_after_a_kill(own_authority: Running, part: str) -> None:
    assert own_authority.sign().code == 0
    killed = own_authority.processes()[part][0]
    killed.kill()
    # The command retries by itself, under the same Idempotency-Key.
    assert own_authority.sign("--timeout", "60").code == 0
    wait_for(lambda: all(own_authority.processes().values()))
    assert own_authority.process.poll() is None
    assert own_authority.signer("log", "verify", identity="auditor").code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    started = Running.start(tmp_path / "dev")
    children = psutil.Process(started.process.pid).children(recursive=True)
    assert len(children) >= 4
    assert started.stop(number) == 0, started.output.read_text()
    assert not started.directory.ready.exists()
    assert [child for child in children if child.is_running()] == []


def test_a_killed_supervisor_takes_its_processes_with_it(tmp_path: Path) -> None:
    started = Running.start(tmp_path / "dev")
    children = psutil.Process(started.process.pid).children(recursive=True)
    started.stop(signal.SIGKILL)
    wait_for(lambda: not any(child.is_running() for child in children))
    # `ready` could not be removed; the next start does it before anything else, and serves again.
    with running(tmp_path / "dev") as again:
        assert again.sign().code == 0


def test_a_second_start_continues_the_same_ledger(tmp_path: Path) -> None:
    with running(tmp_path / "dev") as first:
        signed = first.sign("--receipt", tmp_path / "receipt.json", "--bundle", tmp_path / "bundle.json", "-o", "json")
        assert signed.code == 0, signed.err
        trust = first.directory.trust.read_bytes()
        checkpoint = tmp_path / "checkpoint"
        assert first.signer("log", "checkpoint", "--out", checkpoint).code == 0
    with running(tmp_path / "dev") as second:
        assert second.directory.trust.read_bytes() == trust
        shown = second.signer("decision", "show", signed.json["request_id"])
        assert json.loads(shown.out)["outcome"]["status"] == "signed"
        kept = ("--checkpoint", checkpoint, "--receipt", tmp_path / "receipt.json")
        assert second.signer("log", "verify", *kept, identity="auditor").code == 0
        assert second.sign().code == 0


def test_a_halt_outlives_a_restart(tmp_path: Path) -> None:
    with running(tmp_path / "dev") as first:
        halted = first.signer("halt", "--reason", "over night", "-o", "json", identity="owner-2")
        assert halted.code == 0, halted.err
    with running(tmp_path / "dev") as second:
        assert second.sign().code == 13
        both = owners_resume(second, halted.json["leaf"], tmp_path, "owner-1", "owner-2")
        resumed = second.signer("resume", "--halt-index", str(halted.json["leaf"]), *both, identity="owner-2")
        assert resumed.code == 0, resumed.err
        assert second.sign().code == 0


def test_stale_samples_are_made_anew(tmp_path: Path) -> None:
    with running(tmp_path / "dev") as first:
        before = first.sample("good-scan.json").read_bytes()
    (tmp_path / "dev" / "samples" / ".made").write_text("2026-01-01T00:00:00+00:00")
    with running(tmp_path / "dev") as second:
        assert second.sample("good-scan.json").read_bytes() != before
        assert second.sign().code == 0


def test_another_policy_takes_effect_with_a_higher_version_alone(tmp_path: Path) -> None:
    changed = tmp_path / "policy.yaml"
    with running(tmp_path / "dev") as first:
        text = first.directory.policy.read_text()
    changed.write_text(text.replace("[refs/heads/main, ", "[refs/heads/stable, "))
    refused = subprocess.run(
        [*SIGNER, "dev", "--dir", str(tmp_path / "dev"), "--port", "0", "--policy", str(changed)],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert refused.returncode not in (0, 1), refused.stderr
    assert "version" in refused.stderr
    changed.write_text(changed.read_text().replace("version: 1", "version: 2", 1))
    with running(tmp_path / "dev", "--policy", str(changed)) as second:
        assert second.sign().code == 10
    with running(tmp_path / "dev") as third:
        assert third.sign().code == 10, "what was in force stays in force"


def test_two_of_them_never_share_a_directory(own_authority: Running) -> None:
    ran = own_authority.signer("dev", "--dir", own_authority.directory.root, "--port", "0")
    assert (ran.code, "directory-busy" in ran.err) == (78, True)
    assert own_authority.directory.ready.exists()
    assert own_authority.sign().code == 0


@pytest.mark.parametrize("command", ["serve", "custodian"])
def test_a_development_ledger_is_run_by_signer_dev_alone(authority: Running, command: str) -> None:
    config = ("--config", authority.directory.settings)
    for claim in ((), ("--dev-supervisor", str(authority.process.pid))):
        ran = authority.signer(command, *config, *claim)
        assert (ran.code, "dev-ledger" in ran.err) == (78, True)


def test_a_development_ledger_is_never_exposed(tmp_path: Path) -> None:
    with running(tmp_path / "dev") as started:
        settings = started.directory.settings.read_text()
        directory = started.directory
    exposed = tmp_path / "exposed.toml"
    exposed.write_text(settings.replace('\nbind = "127.0.0.1:', '\nbind = "0.0.0.0:'))
    assert exposed.read_text() != settings
    ran = subprocess.run(
        [*SIGNER, "serve", "--config", str(exposed), "--dev-supervisor", str(os.getpid())],
        env={**os.environ, "SIGNER_CONFIG": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, "dev-exposed" in ran.stderr) == (78, True), directory


def test_the_printed_commands_do_what_they_say(own_authority: Running, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "signer").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m signer.cli "$@"\n')
    (tools / "signer").chmod(0o755)
    printed = own_authority.output.read_text()
    commands = three_commands(own_authority.directory, policy="demo", environment="release")
    for command, code in zip(commands, (0, 10, 0), strict=True):
        assert command in (line.strip() for line in printed.splitlines())
        ran = subprocess.run(
            ["sh", "-c", command],
            env={"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ran.returncode == code, ran.stderr
        # What a successful command proposes next works as it is printed.
        _, proposes, proposed = ran.stderr.partition(" next     ")
        if code == 0 and proposes:
            follow = f". {own_authority.directory.root}/env; {proposed}"
            followed = subprocess.run(
                ["sh", "-c", follow],
                env={"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)},
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert followed.returncode == 0, f"{proposed}\n{followed.stderr}"


def test_a_directory_that_is_too_long_is_refused_in_words(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100)
    ran = subprocess.run(
        [*SIGNER, "dev", "--dir", str(folder), "--port", "0"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.returncode, "directory-too-long" in ran.stderr) == (78, True)
    assert not DevDirectory.at(folder).root.exists()
