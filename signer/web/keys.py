# SPDX-License-Identifier: Apache-2.0
"""Public keys and the trust file: what a verifier needs, open to all.

A key id is the base64 sha256 of the SPKI; in a path it is spelt base64url without padding.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Blueprint, Response

from signer.domain.purpose import Purpose
from signer.formats.canonical import canonical
from signer.formats.jwks import MEDIA_TYPE as JWKS_TYPE, jwk, jwks
from signer.formats.rfc3339 import format_time
from signer.formats.spki import load_spki
from signer.formats.strict_base64 import decode_base64, encode_base64
from signer.formats.trust import TrustDocument, parse_trust_file
from signer.ledger.key_life import KeyLife, key_lives
from signer.tlog.trusted_root import build_trusted_root
from signer.web.admission import absent
from signer.web.answers import JSON
from signer.web.application import Application
from signer.web.resource import Answer, Resource, fresh


def keys(application: Application) -> Blueprint:
    """The resource of public keys."""
    resource = Resource("keys", "Public keys and the owners' trust file.")

    @resource.get("/v1/keys", Answer(schema={"type": "object"}, description="Every key that was ever made"))
    def list_keys() -> Response:
        """List keys with their role, purpose and status, how often each was called, and what the owners say of it."""
        trust = _trust(application)
        uses = application.reader.key_use()
        listed = [_key(life, trust, uses.get(life.created.kid, 0)) for life in _lives(application).values()]
        return fresh(Response(canonical({"keys": listed}), mimetype=JSON))

    @resource.get("/v1/keys/<string:kid>.pem", Answer(media_type="application/x-pem-file"))
    def pem(kid: str) -> Response:
        """Serve one public key as PEM (SubjectPublicKeyInfo)."""
        for life in _lives(application).values():
            if url_kid(life.created.kid) == kid:
                text = load_spki(life.created.spki).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
                return fresh(Response(text, mimetype="application/x-pem-file"))
        raise absent()

    @resource.get("/.well-known/jwks.json", Answer(media_type=JWKS_TYPE))
    def key_set() -> Response:
        """Serve the keys of statements that the owners vouch for as a JWK Set (RFC 7517).

        A JWK names no purpose, and whoever reads the set may believe a statement of any key in it: keys of other
        purposes are not in it, and neither are compromised ones.
        """
        trust = _trust(application)
        vouched = () if trust is None else trust.keys
        lost = {life.created.kid for life in _lives(application).values() if life.status == "compromised"}
        members = [
            jwk(key.spki, alg=key.algorithm)
            for key in vouched
            if key.purpose is Purpose.STATEMENT and key.status != "compromised" and key.kid not in lost
        ]
        return fresh(Response(jwks(members), mimetype=JWKS_TYPE))

    @resource.get("/v1/trust", Answer(schema={"type": "object"}, description="The trust file"))
    def trust_file() -> Response:
        """Serve the trust file in force, byte for byte."""
        row = application.reader.trust()
        if row is None:
            raise absent()
        return fresh(Response(row.file, mimetype=JSON))

    @resource.get("/v1/trusted_root.json", Answer(schema={"type": "object"}, description="Sigstore's trusted root"))
    def trusted_root() -> Response:
        """Serve the ledger's keys as Sigstore's clients read them; made from the trust file in force."""
        trust = _trust(application)
        if trust is None:
            raise absent()
        return fresh(Response(build_trusted_root(trust), mimetype=JSON))

    return resource.blueprint


def url_kid(kid: str) -> str:
    """A key id as a path segment: base64url without padding."""
    return urlsafe_b64encode(decode_base64(kid, what="key id")).decode("ascii").rstrip("=")


def _lives(application: Application) -> Mapping[str, KeyLife]:
    return key_lives(application.reader.keys())


def _trust(application: Application) -> TrustDocument | None:
    """What the owners say; the ledger accepted their signatures before it was stored."""
    row = application.reader.trust()
    return None if row is None else parse_trust_file(row.file).trust


def _key(life: KeyLife, trust: TrustDocument | None, uses: int) -> dict[str, Any]:
    row = life.created
    vouched = None if trust is None else trust.key(row.kid)
    return {
        "name": row.name,
        "role": life.role,
        "kid": row.kid,
        "purpose": row.purpose,
        "algorithm": row.algorithm,
        "spki": encode_base64(row.spki),
        # Its role is empty, and yet it signs nothing before the owners list it.
        "status": "next" if life.status == "active" and vouched is None else life.status,
        "since": None if life.since is None else format_time(life.since),
        "trust": "unpublished" if vouched is None else vouched.status,
        "not_before": None if vouched is None else format_time(vouched.not_before),
        "not_after": None if vouched is None or vouched.not_after is None else format_time(vouched.not_after),
        "uses": uses,
        "pem": f"/v1/keys/{url_kid(row.kid)}.pem",
        "leaf": row.leaf,
    }
