# SPDX-License-Identifier: Apache-2.0
"""Trust: the first file by its own owners, every newer one by the owners before it."""

from __future__ import annotations

import pytest

from signer.formats.trust import parse_trust_file
from signer.verify.checks import CheckFailed, Checklist
from signer.verify.trust import verify_trust
from tests.unit.verify.authority import Authority, p256, spki

STRANGERS = (p256(50), p256(51))


def code_of(data: bytes, *, previous: bytes | None = None) -> str:
    older = None if previous is None else parse_trust_file(previous).trust
    try:
        verify_trust(data, checks=Checklist(), allow_dev=False, previous=older)
    except CheckFailed as refused:
        return refused.code
    return "verified"


def test_a_newer_file_by_the_same_owners_is_trusted() -> None:
    authority = Authority()
    assert code_of(authority.trust(version=2), previous=authority.trust()) == "verified"


def test_new_owners_are_trusted_when_the_old_ones_signed() -> None:
    authority = Authority()
    rotated = authority.trust(version=2, owners=tuple(spki(owner) for owner in STRANGERS))
    assert code_of(rotated, previous=authority.trust()) == "verified"
    # Without the older file nothing shows that these owners were put in charge by the old ones.
    assert code_of(rotated) == "owner-threshold"


REFUSED = {
    "an older version": (Authority().trust(), Authority().trust(version=2), "trust-rollback"),
    "another document of the same version": (
        Authority().trust(verifier="https://evil.example"),
        Authority().trust(),
        "trust-rollback",
    ),
    "another ledger": (
        Authority(origin="evil.example/authority").trust(version=2),
        Authority().trust(),
        "trust-foreign",
    ),
    "another genesis": (Authority().trust(version=2, genesis="00" * 32), Authority().trust(), "trust-foreign"),
    "strangers signed": (Authority().trust(version=2, signers=STRANGERS), Authority().trust(), "owner-threshold"),
    "a development authority becomes another": (
        Authority(dev=True).trust(version=2),
        Authority().trust(),
        "trust-foreign",
    ),
}


@pytest.mark.parametrize(("newer", "older", "code"), REFUSED.values(), ids=REFUSED)
def test_a_newer_file_is_refused(newer: bytes, older: bytes, code: str) -> None:
    assert code_of(newer, previous=older) == code


def test_a_ledger_key_of_another_name_is_refused() -> None:
    vkey = str(Authority(origin="evil.example/authority").notary().verifier)
    assert code_of(Authority().trust(ledger_keys=(vkey,))) == "trust-invalid"


def test_a_ledger_key_that_is_none_is_refused() -> None:
    assert code_of(Authority().trust(ledger_keys=("not a vkey",))) == "malformed-log-text"
