# SPDX-License-Identifier: Apache-2.0
"""Approvals as documents: one spelling, closed, bounded, signed over the very same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.formats.approval import (
    MAX_REASON,
    VERBS,
    ApprovalStatement,
    parse_approval,
    parse_revocation,
    read_approval,
    read_revocation,
    sign_approval,
)
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.dsse import verify_envelope
from signer.formats.statement import parse_statement
from signer.formats.waiver import PAYLOAD_TYPE as WAIVER, sign_waiver
from tests.approvals import KEYS, an_approval, revocation, signed
from tests.waivers import waiver

NOW = datetime(2026, 11, 23, 10, 0, 0, 1, UTC)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
DIGESTS = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
LINES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=40)
ANSWERS = st.sampled_from(["yes", "no", "unknown"])


def approval(**changes: Any) -> ApprovalStatement:
    return replace(read_approval(an_approval())[1], **changes)


@given(
    verb=st.sampled_from(VERBS),
    answered=st.dictionaries(NAMES, ANSWERS, min_size=1, max_size=6),
    reason=LINES,
    digest=DIGESTS,
    data=st.data(),
)
def test_what_is_written_is_read_again(verb: Any, answered: Any, reason: str, digest: str, data: st.DataObject) -> None:
    person = data.draw(NAMES)
    reasons = data.draw(st.dictionaries(st.sampled_from(sorted(answered)), LINES.filter(str.strip), max_size=6))
    said = approval(verb=verb, answered=answered, reasons=reasons, reason=reason, cited=digest, approver=person)
    payload = said.payload()
    assert parse_approval(payload) == said
    assert said.digest == sha256_hex(payload)
    statement = parse_statement(payload)
    assert [subject.artifact["sha256"] for subject in statement.subjects] == [said.subject.sha256]


def test_an_approval_is_signed_and_a_revocation_names_it() -> None:
    said = approval()
    envelope, read = read_approval(sign_approval(said, KEYS["kim"]))
    assert read == said
    keys = {name: key.public_key() for name, key in KEYS.items()}
    assert verify_envelope(envelope, keys) == {"kim"}
    taken = revocation(said, at=NOW)
    envelope, again = read_revocation(signed(taken))
    assert (again, again.approval) == (taken, said.digest)
    assert parse_revocation(taken.payload()) == taken


def edited(change: Callable[[dict[str, Any]], Any], *, of: ApprovalStatement | None = None) -> bytes:
    value = json.loads((of or approval()).payload())
    change(value)
    return canonical(value)


def conditions(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["predicate"]["attributes"][0]["conditions"]
    return found


OTHER_FORMS: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "another statement type": lambda v: v.update(_type="https://in-toto.io/Statement/v0.1"),
    "another predicate": lambda v: v.update(predicateType="https://slsa.dev/provenance/v1"),
    "no subject": lambda v: v.update(subject=[]),
    "two subjects": lambda v: v.update(subject=v["subject"] * 2),
    "a subject without sha256": lambda v: v["subject"][0].update(digest={"sha512": "ab" * 64}),
    "no attribute": lambda v: v["predicate"].update(attributes=[]),
    "two attributes": lambda v: v["predicate"].update(attributes=v["predicate"]["attributes"] * 2),
    "an unknown attribute": lambda v: v["predicate"]["attributes"][0].update(attribute="RELEASE_BLESSED"),
    "a revocation": lambda v: v["predicate"]["attributes"][0].update(attribute="APPROVAL_REVOKED"),
    "an attribute's target": lambda v: v["predicate"]["attributes"][0].update(target={}),
    "a condition more": lambda v: conditions(v).update(force=True),
    "a condition less": lambda v: conditions(v).pop("cited"),
    "a maybe": lambda v: conditions(v)["answered"].update(digest="maybe"),
    "a truth value": lambda v: conditions(v)["answered"].update(digest=True),
    "another spelling of the time": lambda v: conditions(v).update(at="2026-11-23T10:00:00Z"),
    "a local time": lambda v: conditions(v).update(at="2026-11-23T11:00:00.000000+01:00"),
    "a producer without a name": lambda v: v["predicate"]["producer"].pop("name"),
    "a producer elsewhere": lambda v: v["predicate"]["producer"].update(uri="http://test.invalid/authority"),
}


@pytest.mark.parametrize("form", OTHER_FORMS)
def test_another_form_is_refused(form: str) -> None:
    with pytest.raises(Malformed):
        parse_approval(edited(OTHER_FORMS[form]))


def test_another_spelling_of_the_same_is_refused() -> None:
    with pytest.raises(Malformed):
        parse_approval(approval().payload().replace(b'":', b'" :', 1))


OUT_OF_BOUNDS: Mapping[str, dict[str, Any]] = {
    "a hold that is no request id": {"hold": "AB" * 16},
    "an environment that is no name": {"environment": "a b"},
    "a policy that is no name": {"policy": ""},
    "evidence that is no digest": {"cited": "2" * 63},
    "no answers": {"answered": {}},
    "too many answers": {"answered": {f"q{number}": "yes" for number in range(17)}},
    "a reason for what was not asked": {"reasons": {"weather": "fine"}},
    "an empty reason": {"reasons": {"digest": ""}},
    "a blank reason": {"reasons": {"digest": "   "}},
    "a reason of two lines": {"reasons": {"digest": "one\ntwo"}},
    "a reason that turns the text around": {"reasons": {"digest": "ok \u202e"}},
    "a long reason": {"reason": "x" * (MAX_REASON + 1)},
    "a rejection without reason": {"verb": "reject"},
    "a review without reason": {"verb": "review"},
    "an approver who is no name": {"approver": "kim lee"},
    "an origin with blanks": {"origin": "a b"},
}


@pytest.mark.parametrize("case", OUT_OF_BOUNDS)
def test_what_is_out_of_bounds_cannot_be_made(case: str) -> None:
    with pytest.raises(Malformed) as fault:
        approval(**OUT_OF_BOUNDS[case])
    assert fault.value.code == "malformed-approval"


def test_a_waiver_is_no_approval() -> None:
    assert WAIVER != "application/vnd.in-toto+json"
    for read in (read_approval, read_revocation):
        with pytest.raises(Malformed) as fault:
            read(sign_waiver(waiver(), KEYS["kim"]))
        assert fault.value.code == "malformed-approval"
    with pytest.raises(Malformed):
        parse_revocation(approval().payload())
    with pytest.raises(Malformed):
        revocation(approval(), at=NOW, approval="x")
