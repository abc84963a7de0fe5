# SPDX-License-Identifier: Apache-2.0
"""Identities instead of keys: who may sign with a certificate that a pinned Sigstore root vouches for.

    roots:      {public-good: {trustedRoot: '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;…"}'}}
    identities: {release: {root: public-good, issuer: "https://token.actions.githubusercontent.com",
                           subject: "https://github.com/acme/shop/.github/workflows/release.yml@refs/tags/v*",
                           repositoryId: "632596897", ownerId: "131804563"}}

The subject is compared whole: exactly, or by a pattern whose host holds no wildcard. Names can be given up and
registered again by others; the numeric ids cannot, so an identity on a forge should state them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from policy.facts import CertificateIdentity, Origin
from policy.patterns import is_pattern, matches
from policy.schema import Section
from policy.wording import listed, quote

MAX_ROOT: Final = 64 * 1024
_HTTPS: Final = "https://"
_ID = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIdentity:
    """One identity that the policy trusts; an id of None is not compared."""

    name: str
    root: str
    issuer: str
    subject: str
    repository_id: str | None
    owner_id: str | None

    def differences(self, signer: CertificateIdentity | None) -> tuple[str, ...]:
        """Which parts keep `signer` from being this identity, in words; empty when none does."""
        if signer is None:
            return ("a key signed, and not the identity",)
        return tuple(self._differences(signer))

    def _differences(self, signer: CertificateIdentity) -> Iterator[str]:
        if signer.root != self.root:
            yield f"the root {signer.root} is not {self.root}"
        if signer.issuer != self.issuer:
            yield f"the issuer {quote(signer.issuer)} is not {quote(self.issuer)}"
        if not uri_matches(self.subject, signer.subject):
            yield f"the workflow {quote(signer.subject)} is not {quote(self.subject)}"
        for what, wanted, stated in (
            ("repository id", self.repository_id, signer.repository_id),
            ("owner id", self.owner_id, signer.owner_id),
        ):
            if wanted is not None and stated != wanted:
                yield f"the {what} is {'not stated' if stated is None else quote(stated)} and not {quote(wanted)}"


def uri_matches(pattern: str, text: str) -> bool:
    """Whether the whole of `text` is `pattern`; a `*` stands for characters within one segment after the host."""
    if "*" not in pattern:
        return pattern == text
    return text.startswith(_HTTPS) and matches(pattern.removeprefix(_HTTPS), text.removeprefix(_HTTPS))


def signed(origin: Origin, key: str, identity: TrustedIdentity | None) -> bool:
    """Whether the entry with this key or identity signed: a name in the facts alone convinces nobody."""
    if identity is None:
        return origin.key == key and origin.identity is None
    return origin.key == key and not identity.differences(origin.identity)


def signature(origin: Origin) -> str:
    """Who signed, as findings print it."""
    if origin.identity is not None:
        return f"signed by {quote(origin.identity.subject)} of {quote(origin.identity.issuer)}"
    return f"signed with key {origin.key}"


def source_differences(repository: str | None, commit: str | None, signer: CertificateIdentity) -> tuple[str, ...]:
    """Where the certificate and the provenance name different sources: then one of the two is not about this build."""
    parts = (("repository", signer.repository, repository), ("commit", signer.commit, commit))
    return tuple(
        f"the {what} is {'not stated' if stated is None else quote(stated)}, the certificate names {quote(certified)}"
        for what, certified, stated in parts
        if certified is not None and stated != certified
    )


def nearest(identities: Mapping[str, TrustedIdentity], signer: CertificateIdentity) -> str:
    """What keeps `signer` from being the one of `identities` that it comes nearest to; empty when there is none."""
    fewest: tuple[str, ...] = min(
        (identity.differences(signer) for identity in identities.values()), key=len, default=()
    )
    return listed(fewest)


def foreign(origins: Iterable[Origin], identities: Iterable[TrustedIdentity | None], otherwise: str) -> str:
    """What keeps items from being signed by accepted entries: parts of identities that differ, or else `otherwise`."""
    named = {str(number): identity for number, identity in enumerate(identities) if identity is not None}
    causes = (nearest(named, origin.identity) if origin.identity is not None else "" for origin in origins)
    return listed(dict.fromkeys(cause or otherwise for cause in causes))


def read_roots(section: Section) -> dict[str, str]:
    """Name → trusted root, as text; what it holds, the judge cannot know. Raises PolicyError."""
    roots: dict[str, str] = {}
    for name, value in section.items():
        root = Section(value, section.at(name))
        text = root.take("trustedRoot")
        root.close()
        if not isinstance(text, str) or not text.lstrip().startswith("{") or not text.isascii() or len(text) > MAX_ROOT:
            raise root.refuse(
                "trustedRoot",
                f"is not the text of a trusted root in JSON of at most {MAX_ROOT} characters",
                remedy="paste one object as `gh attestation trusted-root` or the instance's operator gives it",
            )
        roots[name] = text
    return roots


def read_identity(name: str, section: Section, roots: Mapping[str, str]) -> TrustedIdentity:
    """Read one entry under `identities`; raises PolicyError."""
    identity = TrustedIdentity(
        name=name,
        root=section.reference("root", roots, what="root"),
        issuer=section.text("issuer"),
        subject=read_uri(section, "subject"),
        repository_id=_numeric(section, "repositoryId"),
        owner_id=_numeric(section, "ownerId"),
    )
    section.close()
    return identity


def read_uri(section: Section, key: str) -> str:
    """Exact text, or a pattern that begins with `https://` and a host without a wildcard; raises PolicyError."""
    value = section.text(key)
    if "*" in value:
        path = value.removeprefix(_HTTPS)
        if path == value or not is_pattern(path) or "*" in path.partition("/")[0] or "/" not in path:
            raise section.refuse(
                key,
                f"{quote(value)} is not a pattern that begins with https:// and a whole host",
                remedy="write it in full, or use '*' within a segment after the host",
            )
    return value


def _numeric(section: Section, key: str) -> str | None:
    if not section.has(key):
        return None
    value = section.take(key)
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise section.refuse(key, "is not a numeric id", remedy='quote its digits: "632596897"')
    return value
