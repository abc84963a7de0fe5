# SPDX-License-Identifier: Apache-2.0
"""What an environment signs: which formats, and for each the one key that may make it.

    release: {require: ["*"], key: release, formats: [vsa, cosign, artifact], imageKey: images, artifactKey: files}

format    purpose of its key   key named by   what is signed
vsa       statement            key            the decision about all subjects, a SLSA VSA in DSSE
cosign    image                imageKey       for each subject, cosign's simple signing document about the image
artifact  artifact             artifactKey    each subject's own bytes, by the sha256 of the request

`timestamp: required` or `best-effort` asks for an RFC 3161 timestamp over each signature. The statement is always among
them: it alone says under which policy and for which environment something was allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from policy.schema import PolicyError, Section

VSA: Final = "vsa"
COSIGN: Final = "cosign"
ARTIFACT: Final = "artifact"
FORMATS: Final = (VSA, COSIGN, ARTIFACT)
"""The formats that an environment may answer in."""
PURPOSES: Final[Mapping[str, str]] = {VSA: "statement", COSIGN: "image", ARTIFACT: "artifact"}
"""The purpose of the key that each format needs."""
KEYS: Final[Mapping[str, str]] = {VSA: "key", COSIGN: "imageKey", ARTIFACT: "artifactKey"}
"""The member of an environment that names the key of each format."""
TIMESTAMPS: Final = ("best-effort", "required")
"""Whether a release waits for its timestamps: the stricter, the later."""


@dataclass(frozen=True, slots=True)
class Output:
    """One format and the role of the key that signs it."""

    format: str
    key: str

    @property
    def purpose(self) -> str:
        """The only purpose that the key may have."""
        return PURPOSES[self.format]


def read_outputs(section: Section) -> tuple[Output, ...]:
    """The outputs of one environment, in its order; raises PolicyError."""
    formats = section.choices("formats", FORMATS) if section.has("formats") else (VSA,)
    if VSA not in formats:
        raise section.refuse(
            "formats", f"{VSA} is not among them", remedy=f"add {VSA}: no other format says what was decided"
        )
    for name in FORMATS:
        if name not in formats and section.has(KEYS[name]):
            raise section.refuse(
                KEYS[name], "nothing is signed with it", remedy=f"add {name} to formats, or remove the key"
            )
    return tuple(Output(name, section.name(KEYS[name])) for name in formats)


def read_timestamp(section: Section) -> str | None:
    """Whether the signatures of one environment are timestamped; raises PolicyError."""
    return section.choice("timestamp", TIMESTAMPS) if section.has("timestamp") else None


def refuse_shared_keys(environments: Mapping[str, tuple[Output, ...]]) -> None:
    """Raise PolicyError where one key is named for two purposes."""
    meant: dict[str, tuple[str, str]] = {}
    for name, outputs in environments.items():
        for output in outputs:
            purpose, place = meant.setdefault(
                output.key, (output.purpose, f"environments.{name}.{KEYS[output.format]}")
            )
            if purpose != output.purpose:
                raise PolicyError(
                    f"environments.{name}.{KEYS[output.format]}: {output.key} is named at {place} for the purpose "
                    f"{purpose}",
                    remedy="name another key: a key has one purpose",
                )
