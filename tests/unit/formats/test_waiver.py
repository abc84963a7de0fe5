# SPDX-License-Identifier: Apache-2.0
"""Waivers as documents: one spelling, closed, bounded, signed over the very same bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from policy.decision import Offender
from signer.errors import Malformed
from signer.formats.canonical import canonical, sha256_hex
from signer.formats.dsse import verify_envelope
from signer.formats.waiver import (
    MAX_DIGESTS,
    MAX_FOUND,
    MAX_OFFENDERS,
    MAX_REASON,
    MAX_USES,
    WaiverStatement,
    join_waivers,
    parse_waiver,
    read_waiver,
    sign_waiver,
)
from tests.waivers import KEYS, signed, waiver

NOW = datetime(2026, 11, 23, 10, 0, 0, 1, UTC)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
DIGESTS = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
LINES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=40)


def distinct(each: st.SearchStrategy[Any], *, most: int = 4, least: int = 1) -> st.SearchStrategy[Any]:
    return st.sets(each, min_size=least, max_size=most).map(lambda found: tuple(sorted(found)))


@st.composite
def statements(draw: st.DrawFn) -> WaiverStatement:
    named = draw(st.booleans())
    offenders = draw(distinct(st.tuples(LINES, st.just("") | LINES))) if named else ()
    begins = NOW + draw(st.timedeltas(timedelta(days=-2000), timedelta(days=20_000)))
    return WaiverStatement(
        origin=draw(NAMES),
        policy=draw(NAMES),
        environment=draw(NAMES),
        rules=draw(distinct(NAMES)),
        outcome=draw(st.sampled_from(["fail", "unknown"])),
        offenders=tuple(Offender(id=name, package=package or None) for name, package in offenders),
        found=None if named else draw(LINES),
        digests=draw(distinct(DIGESTS)),
        repositories=draw(st.sampled_from([(), ("github.com/acme/shop",), ("github.com/acme/a", "github.com/acme/b")])),
        reason=draw(LINES),
        ticket=draw(LINES),
        requested_by=draw(NAMES),
        approved_by=draw(NAMES),
        not_before=begins,
        expires=begins + draw(st.timedeltas(timedelta(microseconds=1), timedelta(days=400))),
        max_uses=draw(st.integers(1, MAX_USES)),
        renews=draw(st.none() | DIGESTS),
    )


@given(statements())
def test_a_statement_comes_back_and_its_name_is_the_digest_of_its_bytes(made: WaiverStatement) -> None:
    assert parse_waiver(made.payload()) == made
    assert made.digest == sha256_hex(made.payload())


@given(st.binary(max_size=200) | st.dictionaries(st.text(), st.none() | st.text()).map(json.dumps).map(str.encode))
def test_nothing_else_is_read_as_a_waiver_or_ends_otherwise_than_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_waiver(data)
    with pytest.raises(Malformed):
        read_waiver(data)


def changed(change: Callable[[Any], object]) -> bytes:
    value = json.loads(waiver(now=NOW).payload())
    change(value)
    return canonical(value)


REFUSED: dict[str, Callable[[Any], object]] = {
    "another schema": lambda v: v.update(schema="signing-waiver/v2"),
    "an unknown member": lambda v: v.update(skip=True),
    "an unknown member of the match": lambda v: v["match"].update(all=True),
    "a member less": lambda v: v.pop("ticket"),
    "no rule": lambda v: v.update(rules=[]),
    "a rule twice": lambda v: v.update(rules=["VUL-1", "VUL-1"]),
    "rules in another order": lambda v: v.update(rules=["VUL-1", "SBM-1"]),
    "every rule": lambda v: v.update(rules=["*"]),
    "seventeen rules": lambda v: v.update(rules=[f"R-{at:02}" for at in range(17)]),
    "any outcome": lambda v: v["match"].update(outcome="any"),
    "neither offenders nor what was found": lambda v: v["match"].update(offenders=[]),
    "both": lambda v: v["match"].update(found="nothing"),
    "an empty finding": lambda v: v["match"].update(offenders=[], found=""),
    "a finding without end": lambda v: v["match"].update(offenders=[], found="x" * (MAX_FOUND + 1)),
    "an offender twice": lambda v: v["match"].update(offenders=v["match"]["offenders"] * 2),
    "an offender without a name": lambda v: v["match"].update(offenders=[{"id": "", "package": None}]),
    "an empty package": lambda v: v["match"]["offenders"][0].update(package=""),
    "too many offenders": lambda v: v["match"].update(
        offenders=[{"id": f"CVE-{at:04}", "package": None} for at in range(MAX_OFFENDERS + 1)]
    ),
    "no scope": lambda v: v.update(scope={"digests": [], "repositories": []}),
    "any digest": lambda v: v["scope"].update(digests=["*"]),
    "half a digest": lambda v: v["scope"].update(digests=["9c" * 16]),
    "a digest in capitals": lambda v: v["scope"].update(digests=["9C" * 32]),
    "too many digests": lambda v: v["scope"].update(digests=[f"{at:064x}" for at in range(MAX_DIGESTS + 1)]),
    "any repository": lambda v: v["scope"].update(repositories=["*"]),
    "a repository by pattern": lambda v: v["scope"].update(repositories=["github.com/acme/*"]),
    "a repository as address": lambda v: v["scope"].update(repositories=["https://github.com/acme/shop"]),
    "no reason": lambda v: v.update(reason=""),
    "a blank reason": lambda v: v.update(reason="   "),
    "a reason of two lines": lambda v: v.update(reason="a\nb"),
    "a reason that is shown backwards": lambda v: v.update(reason="a\u202eb"),
    "a reason without end": lambda v: v.update(reason="x" * (MAX_REASON + 1)),
    "no ticket": lambda v: v.update(ticket=""),
    "uses without end": lambda v: v.update(maxUses=MAX_USES + 1),
    "no use": lambda v: v.update(maxUses=0),
    "uses as text": lambda v: v.update(maxUses="3"),
    "no end": lambda v: v.update(expires=None),
    "an end before the beginning": lambda v: v.update(expires="2026-11-01T00:00:00.000000Z"),
    "a date alone": lambda v: v.update(expires="2026-12-01"),
    "another spelling of a time": lambda v: v.update(expires="2026-12-01T00:00:00Z"),
    "a renewal of a word": lambda v: v.update(renews="the last one"),
    "a person by address": lambda v: v.update(approvedBy="alice@test.invalid"),
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_refuses_a_statement_with(change: Callable[[Any], object]) -> None:
    parse_waiver(changed(lambda _: None))
    with pytest.raises(Malformed) as fault:
        parse_waiver(changed(change))
    assert fault.value.code in ("malformed-waiver", "malformed-json")


def test_a_second_spelling_of_the_same_statement_is_refused() -> None:
    payload = waiver(now=NOW).payload()
    for other in (payload + b" ", payload.replace(b'":', b'": ', 1), payload.replace(b"SEC", b"\\u0053EC")):
        assert json.loads(other) == json.loads(payload)
        with pytest.raises(Malformed):
            parse_waiver(other)


def test_both_signatures_stand_over_the_same_bytes_whoever_signed_first() -> None:
    made = waiver(now=NOW)
    keys = {name: KEYS[name].public_key() for name in KEYS}
    for order in (("alice", "bob"), ("bob", "alice")):
        envelope, read = read_waiver(signed(made, *order))
        assert (read, envelope.payload) == (made, made.payload())
        assert verify_envelope(envelope, keys) == {"alice", "bob"}
    whole = signed(made)
    assert join_waivers([whole, signed(made, "bob")]) == whole


def test_signatures_over_different_statements_are_never_joined() -> None:
    made = waiver(now=NOW)
    with pytest.raises(Malformed):
        join_waivers([sign_waiver(made, KEYS["bob"]), sign_waiver(replace(made, max_uses=2), KEYS["alice"])])
