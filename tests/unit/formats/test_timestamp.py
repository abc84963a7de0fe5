# SPDX-License-Identifier: Apache-2.0
"""RFC 3161: what is asked, and which answers count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, VerifierBuilder, decode_timestamp_response

from signer.errors import Malformed, Refused
from signer.formats.timestamp import MAX_TIMESTAMP, build_request, check_chain, read_chain, verify_timestamp
from tests.timestamp_authority import REJECTION, OwnAuthority

SIGNATURE = b"the bytes of a signature"


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> OwnAuthority:
    return OwnAuthority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def response(tsa: OwnAuthority) -> bytes:
    return tsa.reply(build_request(SIGNATURE).der)


def test_a_response_to_our_question_counts_under_either_pin(tsa: OwnAuthority) -> None:
    request = build_request(SIGNATURE)
    data = tsa.reply(request.der)
    for chain in (tsa.chain, tsa.chain[1:]):
        stamp = verify_timestamp(data, signature=SIGNATURE, chain=chain, nonce=request.nonce)
        assert abs(stamp.time - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_library_alone_verifies_it_too(tsa: OwnAuthority, response: bytes) -> None:
    verifier = VerifierBuilder().add_root_certificate(tsa.root).build()
    assert verifier.verify_message(decode_timestamp_response(response), SIGNATURE)


def test_no_two_questions_have_one_nonce_and_each_asks_for_the_certificate() -> None:
    asked = [build_request(SIGNATURE) for _ in range(50)]
    assert len({each.nonce for each in asked}) == 50
    # certReq TRUE is the last element: the extensions are left out.
    assert {each.der[-3:] for each in asked} == {b"\x01\x01\xff"}


def test_a_certificate_for_other_things_too_makes_no_timestamp(tsa: OwnAuthority) -> None:
    bare = TimestampRequestBuilder().data(SIGNATURE).hash_algorithm(HashAlgorithm.SHA256).cert_request().build()
    data = tsa.reply(bare.as_bytes())
    stamping, serving = ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH
    root = tsa.chain[1]
    assert verify_timestamp(data, signature=SIGNATURE, chain=(tsa.twin(stamping), root)).serial > 0
    for usage in ((stamping, serving), (serving,)):
        with pytest.raises(Refused, match="does not count"):
            verify_timestamp(data, signature=SIGNATURE, chain=(tsa.twin(*usage), root))


@pytest.mark.parametrize("name", ["foreign", "expired"])
def test_a_certificate_that_leads_to_no_pin_makes_no_timestamp(tsa: OwnAuthority, name: str) -> None:
    data = tsa.reply(build_request(SIGNATURE).der, name=name)
    for chain in (tsa.chain, tsa.chain[1:]):
        with pytest.raises(Refused, match="does not count"):
            verify_timestamp(data, signature=SIGNATURE, chain=chain)


def test_a_timestamp_over_something_else_does_not_count(tsa: OwnAuthority, response: bytes) -> None:
    with pytest.raises(Refused, match="Mismatch"):
        verify_timestamp(response, signature=b"another signature", chain=tsa.chain)
    with pytest.raises(Refused, match="Nonce"):
        verify_timestamp(response, signature=SIGNATURE, chain=tsa.chain, nonce=1)


def test_a_response_with_a_flipped_bit_says_nothing_or_the_same(tsa: OwnAuthority, response: bytes) -> None:
    """A CMS container has bytes that mean nothing; none of them says another time or speaks of another signature."""
    honest = verify_timestamp(response, signature=SIGNATURE, chain=tsa.chain)
    refused = 0
    for at in range(0, len(response), 3):
        flipped = response[:at] + bytes([response[at] ^ 0x10]) + response[at + 1 :]
        try:
            assert verify_timestamp(flipped, signature=SIGNATURE, chain=tsa.chain) == honest
        except Refused:
            refused += 1
    assert refused > len(response) / 3 / 2


@pytest.mark.parametrize(
    "data",
    [b"", b"rubbish", b"\x30\x00", REJECTION, b"\x30" * 100, bytes(MAX_TIMESTAMP + 1)],
    ids=["nothing", "rubbish", "an empty sequence", "a rejection", "nested", "too long"],
)
def test_what_is_no_granted_response_is_refused(tsa: OwnAuthority, data: bytes) -> None:
    with pytest.raises(Refused, match="does not count"):
        verify_timestamp(data, signature=SIGNATURE, chain=tsa.chain)


def test_a_pem_file_becomes_a_chain(tsa: OwnAuthority) -> None:
    assert read_chain(tsa.pem) == tsa.chain


def test_a_chain_that_pins_nothing_is_refused(tsa: OwnAuthority) -> None:
    own, root = tsa.chain
    for chain in ((), (own,), (root, own), (own, own, root), (own, root, root), (b"rubbish",)):
        with pytest.raises(Malformed):
            check_chain(chain)
    with pytest.raises(Malformed):
        read_chain(b"no PEM")
