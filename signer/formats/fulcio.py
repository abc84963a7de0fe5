# SPDX-License-Identifier: Apache-2.0
"""What a Fulcio certificate says of its holder (sigstore/fulcio:docs/oid-info.md).

    1.3.6.1.4.1.57264.1.8   issuer of the token, a DER UTF8String as are all that follow
                       .9   build signer: the (reusable) workflow that did the work
                       .12 .13 .14   source repository URI, commit, ref
                       .15 .17       numeric ids of the repository and of its owner

The deprecated extensions .1 to .6 are raw text without DER and are not read. Nothing here is verified: whether a
trusted instance issued the certificate is for `signer.evidence.keyless` to say first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography import x509
from cryptography.hazmat.asn1 import decode_der

from policy.facts import CertificateIdentity
from signer.errors import Malformed
from signer.formats.shape import require_visible
from signer.formats.source_uri import parse_ref, parse_source_uri
from signer.formats.statement import is_commit

ARC: Final = "1.3.6.1.4.1.57264.1."
ISSUER, WORKFLOW, REPOSITORY, COMMIT, REF, REPOSITORY_ID, OWNER_ID = (8, 9, 12, 13, 14, 15, 17)
MAX_VALUE: Final = 1024


def read_identity(certificate: x509.Certificate, *, root: str) -> CertificateIdentity | None:
    """The identity in a certificate that was verified under `root`; raises Malformed for one with two meanings.

    None for an e-mail address: facts hold workloads by name and people only as pseudonyms, so evidence that a person
    signed this way counts as absent.
    """
    try:
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        extensions = _extensions(certificate)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise _fault("has no readable subject alternative name or extension") from None
    subjects = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier | x509.RFC822Name)]
    if len(names) != 1 or len(subjects) != 1:
        raise _fault("names no single URI or e-mail address as its subject")
    if isinstance(names[0], x509.RFC822Name):
        return None
    if ISSUER not in extensions:
        raise _fault("does not say who issued the token")
    repository, commit, ref = (extensions.get(number) for number in (REPOSITORY, COMMIT, REF))
    if commit is not None and not is_commit(commit):
        raise _fault("names a source commit that is none")
    return CertificateIdentity(
        root=root,
        issuer=extensions[ISSUER],
        subject=require_visible(subjects[0], what="subject of the certificate", limit=MAX_VALUE),
        workflow=extensions.get(WORKFLOW),
        repository=None if repository is None else parse_source_uri(repository).repository,
        repository_id=extensions.get(REPOSITORY_ID),
        owner_id=extensions.get(OWNER_ID),
        commit=commit,
        ref=None if ref is None else parse_ref(ref),
    )


def _extensions(certificate: x509.Certificate) -> Mapping[int, str]:
    found: dict[int, str] = {}
    for extension in certificate.extensions:
        oid = extension.oid.dotted_string
        value = extension.value
        if oid.startswith(ARC) and isinstance(value, x509.UnrecognizedExtension):
            number = oid.removeprefix(ARC)
            if number.isdigit() and int(number) >= ISSUER:
                found[int(number)] = require_visible(
                    decode_der(str, value.value), what="extension of the certificate", limit=MAX_VALUE
                )
    return found


def _fault(what: str) -> Malformed:
    return Malformed("evidence-invalid", f"the certificate of the bundle {what}")
