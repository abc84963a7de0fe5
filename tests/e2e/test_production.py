# SPDX-License-Identifier: Apache-2.0
"""A real authority, made step by step as `signer init` says: two owners, their own keys, no development mode."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.running import REQUEST, wait_for
from tests.e2e.site import OWNERS, Site, fetch, make_site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def test_a_new_authority_signs_after_the_steps_that_init_prints(site: Site) -> None:
    policy, access = site.folder / "policy.yaml", site.folder / "access.yaml"
    consent = [*site.consent("policy", policy, *OWNERS), *site.consent("access", access, *OWNERS)]
    founded = site.init(*site.documents(), *consent)
    assert founded.code == 0, founded.err
    for step in (
        "signer custodian",
        "signer keys create release",
        "signer trust draft",
        "signer owner sign",
        "signer trust publish",
        "signer serve",
        "signer doctor",
    ):
        assert step in founded.err
    with ExitStack() as stack:
        stack.enter_context(site.running("custodian"))
        wait_for(site.samples.admin_socket.exists)
        created = site.signer("keys", "create", "release")
        assert created.code == 0, created.err
        draft, trust = site.folder / "trust-document.json", site.folder / "trust.json"
        assert site.signer("trust", "draft", "--out", draft).code == 0
        one = site.consent("trust", draft, "anna")
        assert site.signer("trust", "publish", draft, *one).code == 4
        published = site.signer("trust", "publish", draft, *site.consent("trust", draft, *OWNERS))
        assert published.code == 0, published.err
        stack.enter_context(site.running("serve"))
        wait_for(lambda: site.signer("doctor", "-o", "json", SIGNER_CONFIG="").json["checks"][-1]["ok"])
        doctor = site.signer("doctor", "--config", site.config, "-o", "json")
        assert doctor.code == 0, doctor.out
        # The first trust file comes by a trusted hand; here it is what the authority serves.
        served = site.signer("trust", "show", "--fetch", "-o", "json")
        assert (served.code, served.json["trust"]["dev"]) == (0, False)
        fetch(site, "/v1/trust", trust)
        bundle, receipt = site.folder / "bundle.json", site.folder / "receipt.json"
        artifact: tuple[str | Path, ...] = ("--subject-file", site.samples.samples / "artifact.txt")
        evidence = sorted(site.samples.samples.glob("good*.json"))
        signed = site.signer(
            *("sign", *REQUEST, *artifact, "--evidence", *evidence),
            *("--bundle", bundle, "--receipt", receipt, "--trust", trust),
        )
        assert signed.code == 0, signed.err
    verified = site.signer(
        *("verify", "--trust", trust, "--bundle", bundle, "--receipt", receipt, "--environment", "release"), *artifact
    )
    assert verified.code == 0, verified.err
    assert "DEVELOPMENT" not in verified.err


def test_init_overwrites_nothing(site: Site) -> None:
    assert site.init().code == 0
    kept = {path.name: path.read_bytes() for path in site.samples.state.iterdir() if path.suffix in ("", ".key", ".db")}
    again = site.init()
    assert (again.code, "ledger-exists" in again.err) == (78, True)
    assert {path.name: path.read_bytes() for path in site.samples.state.iterdir() if path.name in kept} == kept
    assert oct((site.samples.state / "ledger.key").stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("owners", [(), ("anna",), ("anna", "anna")])
def test_init_puts_no_document_in_force_without_the_threshold(site: Site, owners: tuple[str, ...]) -> None:
    policy = site.folder / "policy.yaml"
    ran = site.init("--policy", policy, *site.consent("policy", policy, *owners))
    assert ran.code == 4, ran.err
    # Nothing was begun: the same command with both signatures goes through.
    assert site.init("--policy", policy, *site.consent("policy", policy, *OWNERS)).code == 0


def test_init_refuses_a_threshold_that_cannot_be_met(site: Site) -> None:
    assert site.init(threshold=3).code == 78


def test_a_real_ledger_is_not_run_as_a_development_one(site: Site) -> None:
    assert site.init().code == 0
    ran = site.signer("custodian", "--config", site.config, "--dev-supervisor", str(os.getpid()))
    assert (ran.code, "not-dev" in ran.err) == (78, True)


@pytest.mark.parametrize("command", ["custodian", "serve"])
def test_without_a_ledger_nothing_starts(site: Site, command: str) -> None:
    ran = site.signer(command, "--config", site.config)
    assert ran.code == 78, ran.err
