# SPDX-License-Identifier: Apache-2.0
"""The whole stack with a key of every kind, in a token and in AWS KMS: made, trusted, signed with, verified offline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from signer.dev.token import LABEL, ensure_token
from tests.contract.devices import kms_credentials
from tests.e2e.running import wait_for
from tests.e2e.site import OWNERS, Site, fetch, make_site
from tests.integration.softhsm import TestToken
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
        fetch(site, "/v1/trust", trust)

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


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        pytest.param("id=%01", "id=%0", "percent-encoded", id="a URI that is cut"),
        pytest.param("object=release;", "", "lacks object", id="a URI without a label"),
        pytest.param(f"token={LABEL}", "token=elsewhere", "no [[tokens]]", id="a token that no entry names"),
        pytest.param("id=%01", "id=%01;slot-id=3", "slot-id", id="an attribute that is not compared"),
        pytest.param("id=%01", "id=%01?pin-value=canary", "PIN", id="a PIN in the URI"),
        pytest.param(
            f"pkcs11:token={LABEL};object=release;id=%01", "awskms:///alias/release", "whole ARN", id="a bad ARN"
        ),
        pytest.param(
            f"pkcs11:token={LABEL};object=release;id=%01",
            "awskms:///arn:aws:kms:us-east-1:111122223333:alias/release",
            "[[aws_kms]]",
            id="a region that no entry names",
        ),
        pytest.param('purpose = "statement"', 'purpose = "everything"', "purpose", id="an unknown purpose"),
        pytest.param('"ecdsa-p256-sha256"', '"rsa-md5"', "algorithm", id="an unknown algorithm"),
        pytest.param("pin_file =", 'pin_credential = "pin"\npin_file =', "one of the two", id="two places of one PIN"),
    ],
)
def test_settings_that_name_no_key_end_the_start_with_the_remedy(
    founded: Site, before: str, after: str, says: str
) -> None:
    good = founded.config.read_text()
    assert before in good
    founded.config.write_text(good.replace(before, after, 1))
    try:
        ran = founded.signer("custodian", "--config", founded.config)
    finally:
        founded.config.write_text(good)
    assert ran.code == 78, ran.err
    assert says in ran.err
    assert "canary" not in ran.err


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = make_site(tmp_path_factory.mktemp("founded"))
    assert site.init().code == 0
    return site


def test_a_key_that_its_token_lacks_or_has_twice_is_not_recorded(founded: Site) -> None:
    token = TestToken(founded.folder / "token", ensure_token(founded.folder / "token"))
    with founded.running("custodian"):
        wait_for(founded.samples.admin_socket.exists)
        missing = founded.signer("keys", "create", "release", "--existing")
        assert (missing.code, "key-missing" in missing.err) == (78, True), missing.err
        token.make_key()
        token.make_key()
        ambiguous = founded.signer("keys", "create", "release")
        assert (ambiguous.code, "key-ambiguous" in ambiguous.err) == (78, True), ambiguous.err
        assert "exactly one key pair" in ambiguous.err, "the remedy"
