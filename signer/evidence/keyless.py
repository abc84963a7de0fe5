# SPDX-License-Identifier: Apache-2.0
"""Is keyless-signed evidence genuine: offline, under one pinned trusted root, with the `sigstore` library.

    time          a timestamp of the root's authorities over the signature, or the log's promise
    certificate   chains to the root's authorities at that time, is for code signing, and the CT log knows it
    log entry     inclusion proof, checkpoint, promise, and that the entry is about this very envelope
    envelope      signed by the certificate's key

A root with transparency logs demands an entry; one without (a private instance: GitHub's own, for example) demands
a timestamp instead, and its bundles carry no entry. What the root lists decides, never what the bundle omits.
The library refuses bundles without an entry, and entries of the older kind `intoto`: for those two the steps are
ordered here. No other module loads the library.
"""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import decode_timestamp_response
from sigstore._internal.sct import verify_sct
from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult
from sigstore._internal.trust import KeyringPurpose
from sigstore.errors import Error as LibraryError, VerificationError
from sigstore.models import Bundle as LibraryBundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.trustroot.v1 import TrustedRoot as RootModel

from policy.facts import CertificateIdentity
from signer.formats.bundle import Bundle
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import pae
from signer.formats.fulcio import read_identity
from signer.formats.spki import PublicKey, load_spki, verify_signature
from signer.formats.strict_base64 import decode_base64
from signer.formats.strict_json import parse_object

MAX_ENTRY = 4 * 1024 * 1024


class Instance:
    """One Sigstore instance, as a pinned trusted root describes it; holds no state but that."""

    def __init__(self, trusted_root: str) -> None:
        """Raises ValueError when `trusted_root` is none that can be used."""
        try:
            model = RootModel.from_json(trusted_root)
            self._logged = bool(model.tlogs)
            self._noted = bool(model.ctlogs)
            self._root = TrustedRoot(model)
            self._steps = _Steps(self._root)
        except LibraryError as fault:
            raise ValueError(type(fault).__name__) from None
        if not self._logged and not self._root.get_timestamp_authorities():
            raise ValueError("neither a log nor a timestamp authority")

    def verify(self, data: bytes, bundle: Bundle, *, root: str) -> CertificateIdentity | None:
        """Who signed the bundle with these bytes, by the name `root` of this instance; None unless each step holds.

        Raises Malformed when all of it verifies and the certificate's identity has no single meaning.
        """
        if bundle.certificate is None:
            return None
        try:
            certificate = x509.load_der_x509_certificate(bundle.certificate)
            if self._logged:
                self._verify_logged(data, bundle, certificate)
            else:
                self._verify_timestamped(bundle, certificate)
        except Exception:  # noqa: BLE001 - see below
            # The library is written for bundles that are well-formed. A hostile one also meets its assumptions (a key
            # that is no EC key, an extension that is absent), and each way to end here means: not verified.
            return None
        return read_identity(certificate, root=root)

    def _verify_logged(self, data: bytes, bundle: Bundle, certificate: x509.Certificate) -> None:
        signed = LibraryBundle.from_json(data)
        envelope = bundle.envelope
        kind = signed.log_entry._inner.kind_version  # noqa: SLF001 - the library shows the kind nowhere else
        if (kind.kind, kind.version) == ("intoto", "0.0.2"):
            self._steps._verify_common_signing_cert(signed, _AnyIdentity())  # noqa: SLF001 - see the module's head
            verify_signature(
                _key(certificate), pae(envelope.payload_type, envelope.payload), envelope.signatures[0].sig
            )
            _require_entry_about(signed.log_entry._inner.canonicalized_body, bundle, certificate)  # noqa: SLF001 - ditto
        elif self._steps.verify_dsse(signed, _AnyIdentity()) != (envelope.payload_type, envelope.payload):
            raise VerificationError("the library read another payload")
        if signed.signing_certificate != certificate:
            raise VerificationError("the library read another certificate")

    def _verify_timestamped(self, bundle: Bundle, certificate: x509.Certificate) -> None:
        envelope = bundle.envelope
        signature = envelope.signatures[0].sig
        verify_signature(_key(certificate), pae(envelope.payload_type, envelope.payload), signature)
        if bundle.entries:
            raise VerificationError("an entry of a log that the root does not list")
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.CODE_SIGNING not in usage:
            raise VerificationError("the certificate is not for code signing")
        if not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            raise VerificationError("the certificate is not for signatures")
        for stamp in bundle.timestamps:
            found = self._steps._verify_signed_timestamp(decode_timestamp_response(stamp), signature)  # noqa: SLF001 - see the module's head
            if found is None:
                continue
            # The chain is checked at the time that an authority vouches for: the certificate itself lives for minutes.
            chain = self._steps._verify_chain_at_time(certificate, found)  # noqa: SLF001 - ditto
            if self._noted:
                verify_sct(certificate, chain, self._root.ct_keyring(KeyringPurpose.VERIFY))
            return
        raise VerificationError("no timestamp of an authority that the root lists")


def _key(certificate: x509.Certificate) -> PublicKey:
    return load_spki(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


class _AnyIdentity:
    """The judge compares the identity, from the facts, with what the policy says."""

    def verify(self, cert: x509.Certificate) -> None:
        """Accept whoever the root vouches for."""


class _Steps(Verifier):
    """The library's steps without its client of a log: nothing here can open a connection."""

    def __init__(self, trusted_root: TrustedRoot) -> None:
        self._fulcio_certificate_chain = trusted_root.get_fulcio_certs()
        self._trusted_root = trusted_root

    def _establish_time(self, bundle: LibraryBundle) -> list[TimestampVerificationResult]:
        """The library's own, but the promise of a first-generation log counts for entries of kind `intoto` too."""
        entry = bundle.log_entry._inner  # noqa: SLF001 - as in _verify_logged
        if entry.kind_version.kind != "intoto":
            return super()._establish_time(bundle)
        times = []
        if bundle.verification_material.timestamp_verification_data:
            times = self._verify_timestamp_authority(bundle)
        if entry.integrated_time and entry.inclusion_promise:
            # The promise itself is verified with the log entry, which fails without it.
            at = datetime.fromtimestamp(entry.integrated_time, tz=UTC)
            times.append(TimestampVerificationResult(source=TimestampSource.TRANSPARENCY_SERVICE, time=at))
        return times


def _require_entry_about(body: bytes, bundle: Bundle, certificate: x509.Certificate) -> None:
    """That an `intoto` 0.0.2 entry names this payload, this signature and this certificate, and no other."""
    entry = parse_object(body, limit=MAX_ENTRY, what="log entry")
    content = entry["spec"]["content"]
    (signed,) = content["envelope"]["signatures"]
    envelope = bundle.envelope
    named = (
        entry["kind"],
        entry["apiVersion"],
        content["payloadHash"]["algorithm"],
        content["payloadHash"]["value"],
        content["envelope"]["payloadType"],
        # The log keeps the base64 text of the signature, in base64.
        decode_base64(b64decode(signed["sig"]).decode("ascii"), what="signature of the log entry"),
        x509.load_pem_x509_certificate(b64decode(signed["publicKey"])),
    )
    ours = (
        "intoto",
        "0.0.2",
        "sha256",
        sha256_hex(envelope.payload),
        envelope.payload_type,
        envelope.signatures[0].sig,
        certificate,
    )
    if named != ours:
        raise VerificationError("the log entry is about another envelope")
