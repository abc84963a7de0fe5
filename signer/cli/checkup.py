# SPDX-License-Identifier: Apache-2.0
"""The lines of `signer doctor`, and what client and server checks share: certificates and files."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from signer.errors import SignerError

SOON = timedelta(days=7)

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One check: what was looked at, what is required, what was found, what to do when it failed."""

    what: str
    ok: bool
    required: str
    found: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """A check before it ran."""

    what: str
    required: str
    remedy: str

    def line(self, found: str, *, ok: bool) -> Line:
        """The line with what was found."""
        return Line(what=self.what, ok=ok, required=self.required, found=found, remedy=self.remedy)


def run_check(expectation: Expectation, look: Callable[[], tuple[bool, str]]) -> Line:
    """Run one look; whatever it raises becomes a failed line, so that one fault never hides the other checks."""
    try:
        ok, found = look()
    except SignerError as fault:
        remedy = fault.remedy or expectation.remedy
        return Expectation(expectation.what, expectation.required, remedy).line(fault.detail, ok=False)
    except OSError as fault:
        return expectation.line(f"{fault.strerror or type(fault).__name__}: {fault.filename or ''}", ok=False)
    except Exception as fault:  # noqa: BLE001 - a diagnosis reports, it does not crash
        return expectation.line(f"unexpected {type(fault).__name__}", ok=False)
    return expectation.line(found, ok=ok)


def worst(lines: Sequence[Line]) -> int:
    """How many checks failed."""
    return sum(not line.ok for line in lines)


def load_chain(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file, the first one's own first; raises OSError or ValueError."""
    return x509.load_pem_x509_certificates(path.read_bytes())


def certificate_lines(
    name: str, *, chain: Path, key: Path, usage: x509.ObjectIdentifier, san: str, now: datetime
) -> Iterator[Line]:
    """Validity, key, chain, extended key usage and SAN of one certificate with its key."""
    role = "serverAuth" if usage == ExtendedKeyUsageOID.SERVER_AUTH else "clientAuth"

    def validity() -> tuple[bool, str]:
        leaf = load_chain(chain)[0]
        start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        return start <= now < end - SOON, f"valid from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"

    def matches() -> tuple[bool, str]:
        held = serialization.load_pem_private_key(key.read_bytes(), password=None)
        same = held.public_key() == load_chain(chain)[0].public_key()
        return same, "the key fits" if same else "the key belongs to another certificate"

    def issued() -> tuple[bool, str]:
        certificates = load_chain(chain)
        for below, above in pairwise(certificates):
            if not _issued(below, above):
                return False, f"{_named(below)} is not issued by {_named(above)}, which follows it"
        return True, f"{len(certificates)} in order, the last issued by {certificates[-1].issuer.rfc4514_string()}"

    def extended() -> tuple[bool, str]:
        extension = _extension(load_chain(chain)[0], x509.ExtendedKeyUsage)
        if extension is None:
            return False, "no extended key usage"
        return usage in list(extension), ", ".join(entry._name for entry in extension)  # noqa: SLF001 - the only name cryptography has

    def names() -> tuple[bool, str]:
        extension = _extension(load_chain(chain)[0], x509.SubjectAlternativeName)
        found = [] if extension is None else [str(entry.value) for entry in extension]
        uris = [] if extension is None else extension.get_values_for_type(x509.UniformResourceIdentifier)
        ok = len(uris) == 1 if role == "clientAuth" else bool(found)
        return ok, ", ".join(found) or "none"

    issue = "have the CA issue a new certificate"
    yield run_check(Expectation(f"{name} certificate", f"valid now and for {SOON.days} more days", issue), validity)
    yield run_check(Expectation(f"{name} key", "the certificate's own private key", "pair them again"), matches)
    order = Expectation(
        f"{name} chain", "each certificate issued by the next", f"sort {chain}: own certificate, then intermediates"
    )
    yield run_check(order, issued)
    yield run_check(Expectation(f"{name} EKU", role, f"{issue} with extended key usage {role}"), extended)
    yield run_check(Expectation(f"{name} SAN", san, f"{issue} with that SAN"), names)


def secret_line(name: str, path: Path) -> Line:
    """Whether a file that holds a secret is for its owner alone."""

    def private() -> tuple[bool, str]:
        mode = stat.S_IMODE(path.stat().st_mode)
        with path.open("rb") as file:
            empty = not file.read(1)
        return not empty and mode & 0o077 == 0, f"mode {mode:04o}{', empty' if empty else ''}"

    return run_check(
        Expectation(f"{name} file", "not empty, readable by its owner alone (0600)", f"chmod 600 {path}"), private
    )


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _named(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()
