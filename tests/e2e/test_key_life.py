# SPDX-License-Identifier: Apache-2.0
"""A key's life as an operator lives it: rotated under load without a failed request, compromised and refused."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from signer.client.endpoint import Endpoint
from signer.client.http import Client
from signer.client.request import signing_request, subject_of_file
from signer.dev.token import LABEL
from signer.errors import SignerError
from signer.formats.bundle import parse_bundle
from signer.formats.receipt import parse_receipt
from tests.e2e.running import REQUEST, wait_for
from tests.e2e.site import ORIGIN, OWNERS, Site, fetch, make_site

CLIENTS = 4
KEYS = {
    name: (f"pkcs11:token={LABEL};object={name};id=%{number:02x}", "ecdsa-p256-sha256")
    for number, name in enumerate(("release", "release-2"), start=1)
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running authority whose settings name two keys, of which one is made."""
    prepared = make_site(tmp_path_factory.mktemp("life"), keys=KEYS, environments=["release"])
    folder = prepared.folder
    consent: list[str | Path] = [
        *prepared.consent("policy", folder / "policy.yaml", *OWNERS),
        *prepared.consent("access", folder / "access.yaml", *OWNERS),
    ]
    assert prepared.init(*prepared.documents(), *consent).code == 0
    with ExitStack() as stack:
        stack.enter_context(prepared.running("custodian"))
        wait_for(prepared.samples.admin_socket.exists)
        draft = folder / "trust-document.json"
        created = prepared.signer("keys", "create", "release", "--draft", draft)
        assert created.code == 0, created.err
        publish(prepared, draft)
        stack.enter_context(prepared.running("serve"))
        wait_for(lambda: prepared.signer("doctor", "-o", "json", SIGNER_CONFIG="").json["checks"][-1]["ok"])
        yield prepared


def publish(site: Site, draft: Path) -> Path:
    """The owners sign the draft, and it comes into force; the trust file that deploy systems fetch."""
    published = site.signer("trust", "publish", draft, *site.consent("trust", draft, *OWNERS))
    assert published.code == 0, published.err
    return draft


def sign(site: Site, name: str) -> tuple[Path, Path]:
    bundle, receipt = site.folder / f"{name}.bundle.json", site.folder / f"{name}.receipt.json"
    evidence: list[str | Path] = [*sorted(site.samples.samples.glob("good*.json"))]
    artifact = ("--subject-file", site.samples.samples / "artifact.txt")
    ran = site.signer("sign", *REQUEST, *artifact, "--evidence", *evidence, "--bundle", bundle, "--receipt", receipt)
    assert ran.code == 0, ran.err
    return bundle, receipt


def kid(bundle: bytes) -> str:
    return parse_bundle(bundle).envelope.signatures[0].keyid


def listed(site: Site) -> dict[str, dict[str, object]]:
    return {key["name"]: key for key in site.signer("keys", "list", "-o", "json").json["keys"]}


@contextmanager
def load(site: Site, kids: list[str], faults: list[SignerError]) -> Iterator[None]:
    """Clients that ask without a pause, for the length of a block: under which keys they got their receipts."""
    identity = site.samples.identity("ci")
    endpoint = Endpoint(
        url=f"https://127.0.0.1:{site.port}",
        ca=site.folder / "ca" / "ca.pem",
        certificate=identity / "cert.pem",
        key=identity / "key.pem",
        timeout=30,
    )
    subject = subject_of_file(site.samples.samples / "artifact.txt")
    body = signing_request(policy="demo", environment="release", subjects=[subject], evidence=[])
    over = threading.Event()

    def ask() -> None:
        client = Client(endpoint)
        while not over.is_set():
            try:
                receipt = parse_receipt(client.sign(body, idempotency_key=secrets.token_hex(16)))
            except SignerError as fault:
                faults.append(fault)
                return
            kids.append(kid(receipt.bundles[0].bundle))

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def test_a_rotation_under_load_fails_no_request_and_both_keys_verify(site: Site) -> None:
    before, _ = sign(site, "before")
    draft = site.folder / "trust-2.json"
    kids: list[str] = []
    faults: list[SignerError] = []
    with load(site, kids, faults):
        created = site.signer("keys", "create", "release-2", "--succeeds", "release", "--draft", draft)
        assert created.code == 0, created.err
        assert listed(site)["release-2"]["status"] == "next"
        early = site.signer("keys", "rotate", "release-2")
        assert (early.code, "signer trust publish" in early.err) == (4, True)
        publish(site, draft)
        rotated = site.signer("keys", "rotate", "release-2", "-o", "json")
        assert rotated.code == 0, rotated.err
        new = rotated.json["kid"]
        seen = len(kids)
        wait_for(lambda: len(kids) > seen + 2 * CLIENTS or faults)
    assert not faults
    old = kid(before.read_bytes())
    assert set(kids) == {old, new}
    # One switch: what was in work may still end under the old key, and nothing else does.
    assert kids[-1] == new
    assert old not in kids[kids.index(new) + CLIENTS :]
    after, _ = sign(site, "after")
    assert kid(after.read_bytes()) == new
    trust = fetch(site, "/v1/trust", site.folder / "trust.json")
    for bundle in (before, after):
        assert verify(site, bundle, trust=trust) == 0
    keys = json.loads(fetch(site, "/.well-known/jwks.json", site.folder / "jwks.json").read_bytes())["keys"]
    assert len(keys) == 2
    assert {name: key["status"] for name, key in listed(site).items()} == {
        "release": "superseded",
        "release-2": "active",
    }


def test_what_is_published_as_files_is_enough_to_verify_offline(site: Site) -> None:
    bundle, _ = sign(site, "published")
    folder = site.folder / "published"
    words: tuple[str | Path, ...] = ("publish", "--config", site.config, "--to", folder, "--entries", "-o", "json")
    assert site.signer(*words).code == 0
    published = site.signer(*words)
    assert published.code == 0, published.err
    assert verify(site, bundle, "--revocations", folder / "v1" / "revocations", trust=folder / "v1" / "trust") == 0
    proven = site.signer("log", "verify", "--trust", folder / "v1" / "trust", "--directory", folder, "-o", "json")
    assert (proven.code, proven.json["size"]) == (0, published.json["size"])
    assert len(json.loads((folder / ".well-known" / "jwks.json").read_bytes())["keys"]) == 2


def verify(site: Site, bundle: Path, *words: str | Path, trust: Path) -> int:
    ran = site.signer(
        *("verify", "--trust", trust, "--bundle", bundle, "--environment", "release", *words),
        *("--subject-file", site.samples.samples / "artifact.txt"),
    )
    return ran.code


def test_a_compromised_key_stops_at_once_and_its_signatures_are_refused(site: Site) -> None:
    trust = fetch(site, "/v1/trust", site.folder / "trust.json")
    bundle, receipt = sign(site, "stolen")
    draft = site.folder / "trust-3.json"
    stopped = site.signer(
        *("keys", "compromise", "release-2", "--since", "1h", "--reason", "drill", "--draft", draft, "-o", "json")
    )
    assert stopped.code == 0, stopped.err
    assert stopped.json["signed"][0]["released"] is True
    assert stopped.json["signed"][0]["environment"] == "release"
    refused = site.signer("sign", *REQUEST, "--subject-file", site.samples.samples / "artifact.txt", "--timeout", "2")
    assert refused.code == 20, refused.err
    assert "release-2 is compromised" in refused.err
    revocations = fetch(site, "/v1/revocations", site.folder / "revocations.json")
    # The trust file that deploy systems hold is older than the compromise: the list alone tells.
    assert verify(site, bundle, "--receipt", receipt, trust=trust) == 0
    assert verify(site, bundle, "--receipt", receipt, "--revocations", revocations, trust=trust) == 3
    old = site.folder / "before.bundle.json"
    assert verify(site, old, "--revocations", revocations, trust=trust) == 0
    keys = json.loads(fetch(site, "/.well-known/jwks.json", site.folder / "jwks.json").read_bytes())["keys"]
    assert len(keys) == 1
    # Back in service with a key that is good, and no restart.
    publish(site, draft)
    assert site.signer("keys", "rotate", "release").code == 0
    assert kid(sign(site, "again")[0].read_bytes()) == kid(old.read_bytes())
    assert verify(site, bundle, trust=fetch(site, "/v1/trust", site.folder / "trust.json")) == 3
    assert ORIGIN in site.signer("trust", "show", "--trust", trust).out
