# SPDX-License-Identifier: Apache-2.0
"""Keys, trust file, trusted root and revocation list: fetched together, and verified against one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from signer.errors import Malformed
from signer.formats.jwks import thumbprint
from signer.formats.revocations import RevocationList
from signer.formats.spki import keyid, load_pem, spki_der
from signer.formats.strict_json import parse_object
from signer.formats.trust import TrustDocument
from signer.publisher.directory import Directory
from signer.publisher.site import Site, required
from signer.tlog.trusted_root import build_trusted_root
from signer.verify.checks import Checklist
from signer.verify.revocations import verify_list
from signer.verify.trust import verify_trust

TRUST = "v1/trust"
REVOCATIONS = "v1/revocations"
KEYS = "v1/keys"
KEYS_FILE = "v1/keys/index.json"
"""In a folder `v1/keys` holds the PEM files, so its own answer is that folder's index."""
JWKS = ".well-known/jwks.json"
TRUSTED_ROOT = "v1/trusted_root.json"
OPENAPI = "openapi.json"

_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What was fetched and verified: the trust it rests on, and the files by their paths."""

    trust: TrustDocument
    files: Mapping[str, bytes]


def fetch_documents(site: Site, *, held: Directory, now: datetime, checks: Checklist) -> Documents:
    """Everything but the log, verified, and not older than what `held` has; raises CheckFailed or Refused."""
    data = required(site, f"/{TRUST}", remedy="let the owners publish one: signer trust draft, signer trust publish")
    before = held.read(TRUST)
    # Whoever fetches it first has no older one to judge by: it stands on its own owners' signatures.
    trust = verify_trust(data, checks=checks, allow_dev=True)
    if before is not None:
        # What stands in the folder came from here: its own owners decided on it then.
        verify_trust(
            data, checks=checks, allow_dev=True, previous=verify_trust(before, checks=Checklist(), allow_dev=True)
        )
    revocations = required(site, f"/{REVOCATIONS}", remedy="start the custodian, which keeps the list current")
    listed = verify_list(revocations, trust=trust, now=now, checks=checks)
    _check_newer(listed, held=held, trust=trust, checks=checks)
    files = {TRUST: data, REVOCATIONS: revocations}
    files |= _fetch_keys(site, checks)
    files[JWKS] = _fetch_key_set(site, trust, listed, checks)
    with checks.check("trusted root is made from the trust file", code="trusted-root-differs") as check:
        root = required(site, f"/{TRUSTED_ROOT}", remedy="")
        check.require(root == build_trusted_root(trust), expected=f"that of version {trust.version}", found="another")
        check.found = f"{len(trust.ledger_keys)} ledger key(s)"
    files[TRUSTED_ROOT] = root
    files[OPENAPI] = required(site, f"/{OPENAPI}", remedy="")
    return Documents(trust=trust, files=files)


def _check_newer(listed: RevocationList, *, held: Directory, trust: TrustDocument, checks: Checklist) -> None:
    before = held.read(REVOCATIONS)
    with checks.check("revocation list is not older than the published one", code="revocations-rollback") as check:
        if before is not None:
            # Current at its own time; that is long past, perhaps.
            old = verify_list(before, trust=trust, now=None, checks=Checklist())
            check.require(
                old.issued <= listed.issued and old.size <= listed.size,
                expected=f"a list issued after {old.issued.isoformat()} at size {old.size}",
                found=f"{listed.issued.isoformat()} at size {listed.size}",
                remedy="an older authority answers: do not publish from it",
            )
        check.found = "nothing was published" if before is None else f"issued {listed.issued.isoformat()}"


def _fetch_keys(site: Site, checks: Checklist) -> dict[str, bytes]:
    with checks.check("each key file is of the key that the list names", code="keys-differ") as check:
        data = required(site, f"/{KEYS}", remedy="")
        files = {KEYS_FILE: data}
        for key in _keys(data):
            path = PurePosixPath(str(key.get("pem", "")))
            pem = required(site, str(path), remedy="")
            found = keyid(spki_der(load_pem(pem.decode("ascii", "strict"))))
            check.require(found == key.get("kid"), expected=f"key {key.get('kid')} at {path}", found=found)
            files[f"{KEYS}/{path.name}"] = pem
        check.found = f"{len(files) - 1} key(s)"
    return files


def _keys(data: bytes) -> list[Mapping[str, Any]]:
    rows = parse_object(data, limit=_MAX, what="list of keys").get("keys")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise Malformed("answer-malformed", "the list of keys has another shape")
    return rows


def _fetch_key_set(site: Site, trust: TrustDocument, listed: RevocationList, checks: Checklist) -> bytes:
    with checks.check("key set holds the keys that the owners vouch for", code="keys-differ") as check:
        data = required(site, f"/{JWKS}", remedy="")
        found = {str(key.get("kid")) for key in _keys(data)}
        vouched = {
            thumbprint(key.spki) for key in trust.keys if key.status != "compromised" and listed.key(key.kid) is None
        }
        check.require(found == vouched, expected=", ".join(sorted(vouched)), found=", ".join(sorted(found)) or "none")
        check.found = f"{len(found)} key(s)"
    return data
