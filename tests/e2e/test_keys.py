# SPDX-License-Identifier: Apache-2.0
"""The whole stack with a key of every kind, in a token and in AWS KMS: made, trusted, signed with, verified offline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from signer.dev.token import LABEL
from tests.contract.devices import kms_credentials
from tests.e2e.running import wait_for
from tests.e2e.site import OWNERS, Site, fetch_trust, make_site
from tests.kms_server import ACCESS_KEY, SECRET_KEY, Fault, KmsServer, kms_server


@pytest.fixture
def kms() -> Iterator[KmsServer]:
    with kms_server() as server:
        yield server


def token_uri(name: str, number: int) -> str:
    return f"pkcs11:token={LABEL};object={name};id=%{number:02X}"


def new_site(folder: Path, kms: KmsServer) -> Site:
    credentials = kms_credentials(folder)["AWS_SHARED_CREDENTIALS_FILE"]
    return make_site(
        folder,
        keys={
            "p384": (token_uri("p384", 1), "ecdsa-p384-sha384"),
            "ed25519": (token_uri("ed25519", 2), "ed25519"),
            "rsa-pss": (token_uri("rsa-pss", 3), "rsa-pss-3072-sha256"),
            "kms": (f"awskms:///{kms.alias('release', kms.create('ECC_NIST_P256'))}", "ecdsa-p256-sha256"),
            "kms-ed25519": (f"awskms:///{kms.create('ECC_NIST_EDWARDS25519')}", "ed25519"),
        },
        devices=f"""\
[[aws_kms]]
region = "eu-central-1"
endpoint = "{kms.endpoint}"
credentials_file = "{credentials}"
environment = {{AWS_EC2_METADATA_DISABLED = "true"}}
""",
    )


def test_every_kind_of_key_signs_from_the_request_to_the_offline_verifier(tmp_path: Path, kms: KmsServer) -> None:
    site = new_site(tmp_path, kms)
    names = ("p384", "ed25519", "rsa-pss", "kms", "kms-ed25519")
    policy, access = site.folder / "policy.yaml", site.folder / "access.yaml"
    consent = [*site.consent("policy", policy, *OWNERS), *site.consent("access", access, *OWNERS)]
    founded = site.init(*site.documents(), *consent)
    assert founded.code == 0, founded.err
    artifact: tuple[str | Path, ...] = ("--subject-file", site.samples.samples / "artifact.txt")
    evidence = sorted(site.samples.samples.glob("good*.json"))
    with ExitStack() as stack:
        stack.enter_context(site.running("custodian"))
        wait_for(site.samples.admin_socket.exists)
        for name in names:
            created = site.signer("keys", "create", name)
            assert created.code == 0, created.err
        draft, trust = site.folder / "trust-document.json", site.folder / "trust.json"
        assert site.signer("trust", "draft", "--out", draft).code == 0
        assert site.signer("trust", "publish", draft, *site.consent("trust", draft, *OWNERS)).code == 0
        stack.enter_context(site.running("serve"))
        wait_for(lambda: site.signer("doctor", "-o", "json", SIGNER_CONFIG="").json["checks"][-1]["ok"])
        doctor = site.signer("doctor", "--config", site.config, "-o", "json")
        assert doctor.code == 0, doctor.out
        assert doctor.out.count("never extractable") == len(names), "each key's protection is reported"
        fetch_trust(site, trust)

        def ask(name: str) -> tuple[str | Path, ...]:
            files = ("--bundle", site.folder / f"{name}.json", "--receipt", site.folder / f"{name}.receipt.json")
            return ("sign", "--policy", "demo", "--environment", name, *artifact, "--evidence", *evidence, *files)

        for name in names:
            signed = site.signer(*ask(name), "--trust", trust)
            assert signed.code == 0, f"{name}: {signed.err}"
        # A throttled key is asked a second time; throttled again, the caller is told to come back.
        before = kms.signed
        kms.fail("Sign", *[Fault("error", "ThrottlingException")] * 2)
        throttled = site.signer(*ask("kms"), "--timeout", "1")
        assert throttled.code == 20, throttled.err
        assert "key-throttled" in throttled.err
        assert kms.signed == before
    for name in names:
        files = ("--bundle", site.folder / f"{name}.json", "--receipt", site.folder / f"{name}.receipt.json")
        verified = site.signer("verify", "--trust", trust, *files, "--environment", name, *artifact)
        assert verified.code == 0, f"{name}: {verified.err}"
    written = b"".join(path.read_bytes() for path in site.folder.glob("*.log"))
    for secret in (SECRET_KEY, ACCESS_KEY, (site.folder / "token" / "pin").read_text()):
        assert secret.encode() not in written
