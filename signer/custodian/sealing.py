# SPDX-License-Identifier: Apache-2.0
"""Signs the manifest of an evidence pack, made here from the ledger alone: nobody hands in what the ledger key signs.

A manifest is signed once for a digest and a checkpoint and kept, so that a pack exported later is the same pack, also
by a later version of this program.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signer.custodian.judged import read_principal, read_sha256
from signer.custodian.judging import out_of_reach
from signer.custodian.release_commands import Sealed, SealPack
from signer.custodian.standing import Standing
from signer.errors import Malformed
from signer.pack.layout import lay_out
from signer.pack.manifest import build_manifest, sign_manifest
from signer.releases.gather import gather, newest_size, policies_of
from signer.releases.source import Source


class Manifests(Protocol):
    """Where signed manifests are kept."""

    def find(self, sha256: str, size: int) -> bytes | None:
        """The manifest of a digest at a checkpoint."""

    def keep(self, sha256: str, size: int, manifest: bytes) -> bytes:
        """Keep it durably, unless one is kept already; returns the one that is kept."""


class Sealing:
    """One source, one ledger key, and the manifests that were signed."""

    def __init__(self, *, source: Source, key: Ed25519PrivateKey, manifests: Manifests) -> None:
        self._source = source
        self._key = key
        self._manifests = manifests

    def seal(self, command: SealPack, *, standing: Standing) -> Sealed:
        """The signed manifest; raises Malformed, Refused or Unavailable."""
        by, sha256 = read_principal(command.principal), read_sha256(command.sha256)
        newest = newest_size(self._source)
        size = command.size or newest
        policies = policies_of(self._source, sha256, size=size)
        access = standing.access
        # Web asked this before; a forged command must not get further than the caller's grants.
        if access is None or not policies or not all(access.allows(by, action="audit", policy=p) for p in policies):
            raise out_of_reach()
        if not 0 < size <= newest:
            raise Malformed("invalid-range", f"the newest checkpoint has {newest} leaves")
        manifest = self._manifests.find(sha256, size)
        if manifest is None:
            contents = gather(self._source, sha256, size=size)
            signed = sign_manifest(build_manifest(contents, lay_out(contents)), self._key)
            # A crash before this returns leaves no manifest; the same one is signed again.
            manifest = self._manifests.keep(sha256, size, signed)
        return Sealed(size=size, manifest=manifest)
