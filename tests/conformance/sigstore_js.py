# SPDX-License-Identifier: Apache-2.0
"""npm's @sigstore/verify, the verifier behind `npm audit signatures` and GitHub's clients."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from signer.formats.spki import PublicKey, spki_pem

PACKAGES = ("@sigstore/verify@3.1.1", "@sigstore/bundle@4.0.0", "@sigstore/protobuf-specs@0.5.2")
VERIFIER = Path(__file__).with_name("bundle_verifier.cjs")
ROOT_VERIFIER = Path(__file__).with_name("root_verifier.cjs")


@dataclass(frozen=True)
class SigstoreJs:
    """A folder with the packages."""

    folder: Path

    @classmethod
    def install(cls, folder: Path) -> SigstoreJs:
        """Fetch the packages into `folder`; skips the test where that cannot be."""
        if shutil.which("node") is None or shutil.which("npm") is None:
            pytest.skip("node and npm are not on this machine")
        (folder / "package.json").write_text("{}")
        install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier"]
        done = subprocess.run(
            [*install, *PACKAGES], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=90
        )
        if done.returncode != 0:
            pytest.skip("npm cannot fetch @sigstore/verify here")
        return cls(folder)

    def verify(
        self,
        bundle: Mapping[str, Any],
        key: PublicKey,
        *,
        root: Mapping[str, Any] | None = None,
        artifact: bytes | None = None,
    ) -> str:
        """`verified`, or the code of the verifier's error; with a trusted root a timestamp by it is demanded."""
        (self.folder / "key.pem").write_text(spki_pem(key))
        (self.folder / "root.json").write_text(json.dumps(root))
        (self.folder / "artifact").write_bytes(artifact or b"")
        files = ["" if root is None else "root.json", "" if artifact is None else "artifact"]
        return self._run(VERIFIER, "key.pem", *files, given=bundle)

    def verify_under(self, root: bytes, given: Mapping[str, Any]) -> str:
        """Verify a log entry, or a bundle by the keys given with it, under a trusted root (see `root_verifier.cjs`)."""
        (self.folder / "trusted_root.json").write_bytes(root)
        return self._run(ROOT_VERIFIER, "trusted_root.json", given=given)

    def _run(self, script: Path, *arguments: str, given: Mapping[str, Any]) -> str:
        ran = subprocess.run(
            ["node", script, *arguments],
            cwd=self.folder,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert ran.returncode in (0, 3), ran.stderr
        return ran.stdout.strip()
