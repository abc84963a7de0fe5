# SPDX-License-Identifier: Apache-2.0
"""Subjects: what a statement speaks of, matched by digest alone (in-toto Statement v1, ResourceDescriptor)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from signer.domain.digest import Digest
from signer.errors import Malformed

MAX_NAME = 512
_NAME = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Subject:
    """A name for people and the digests that identify the artifact; sha256 is always among them.

    {"name": "registry.example/shop/api", "digest": {"sha256": "9c56…"}}
    """

    name: str
    digests: tuple[Digest, ...]

    def __post_init__(self) -> None:
        if len(self.name) > MAX_NAME or _NAME.fullmatch(self.name) is None:
            raise Malformed(
                "invalid-subject",
                f"a subject name is 1 to {MAX_NAME} printable ASCII characters without spaces",
                remedy="use the artifact's file name or its repository name without the tag",
            )
        if len(self.digests) == 1 and self.digests[0].algorithm == "sha256":
            return
        algorithms = [digest.algorithm for digest in self.digests]
        if "sha256" not in algorithms or len(set(algorithms)) != len(algorithms):
            raise Malformed(
                "invalid-digest",
                "each subject needs exactly one sha256 digest",
                remedy="add the sha256 digest of the artifact",
            )

    @classmethod
    def of(cls, name: str, digest: Mapping[str, str]) -> Subject:
        """Build a subject from its JSON members; raises Malformed."""
        if len(digest) == 1:
            # The common case, and a request may hold a thousand of them.
            ((algorithm, value),) = digest.items()
            return cls(name, (Digest(algorithm, value),))
        return cls(name, tuple(sorted(Digest(algorithm, value) for algorithm, value in digest.items())))

    @classmethod
    def parse(cls, text: str) -> Subject:
        """Read the command line's NAME@sha256:HEX; raises Malformed."""
        name, separator, digest = text.rpartition("@")
        if not separator:
            raise Malformed(
                "invalid-subject", "a subject is written NAME@sha256:HEX", remedy="or pass --subject-file PATH"
            )
        return cls(name, (Digest.parse(digest),))

    @property
    def sha256(self) -> str:
        """The value of the mandatory sha256 digest."""
        for digest in self.digests:
            if digest.algorithm == "sha256":
                return digest.value
        raise AssertionError("every subject has a sha256 digest")
