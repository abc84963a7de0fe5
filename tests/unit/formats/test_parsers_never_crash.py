# SPDX-License-Identifier: Apache-2.0
"""Whatever the bytes, a parser returns a value or raises Malformed: never another error, never a hang."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from signer.dev.attestations import (
    approvals_statement,
    provenance_statement,
    review_statement,
    sbom_statement,
    scan_statement,
    source_statement,
    suite_statement,
)
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.bundle import build_bundle, parse_bundle
from signer.formats.dsse import IN_TOTO, parse_envelope
from signer.formats.facts import decode_facts
from signer.formats.findings import decode_decision
from signer.formats.gittuf import read_tree_approvals
from signer.formats.owner_act import parse_owner_act
from signer.formats.provenance import read_provenance
from signer.formats.receipt import build_receipt, parse_receipt
from signer.formats.review_record import read_review_record
from signer.formats.shadow_results import decode_results
from signer.formats.source_vsa import read_source_vsa
from signer.formats.spdx import read_spdx
from signer.formats.statement import parse_statement
from signer.formats.test_result import read_test_report
from signer.formats.trust import build_trust_document, parse_trust_document, parse_trust_file
from signer.formats.vsa import parse_vsa
from signer.formats.vulns import read_scan
from tests.unit.formats.test_receipt import RECEIPT
from tests.unit.formats.test_trust import FIRST, OLD, file

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SUBJECTS = [Subject.parse(f"shop@sha256:{'a' * 64}")]


def predicate(read: Callable[[Any], object]) -> Callable[[bytes], object]:
    return lambda data: read(parse_statement(data).predicate)


PARSERS: list[Any] = [
    pytest.param(
        parse_bundle, build_bundle(payload_type=IN_TOTO, payload=b"{}", keyid="k", signature=b"s"), id="bundle"
    ),
    pytest.param(
        parse_envelope,
        b'{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"k","sig":"cw=="}]}',
        id="envelope",
    ),
    pytest.param(
        parse_owner_act, b'{"payload":"e30=","payloadType":"x","signatures":[{"sig":"cw=="}]}', id="owner act"
    ),
    pytest.param(parse_receipt, build_receipt(RECEIPT), id="receipt"),
    pytest.param(parse_trust_document, build_trust_document(FIRST), id="trust document"),
    pytest.param(parse_trust_file, file(FIRST, OLD), id="trust file"),
    pytest.param(predicate(read_provenance), provenance_statement(SUBJECTS, finished=NOW), id="provenance"),
    pytest.param(
        predicate(read_scan), scan_statement(SUBJECTS, finished=NOW, vulnerabilities=[("a", "high")]), id="scan"
    ),
    pytest.param(predicate(read_test_report), suite_statement(SUBJECTS, passed=1), id="test result"),
    pytest.param(
        predicate(lambda value: read_spdx("https://spdx.dev/Document", value)),
        sbom_statement(SUBJECTS, created=NOW),
        id="SPDX",
    ),
    pytest.param(lambda data: read_source_vsa(parse_statement(data)), source_statement(verified=NOW), id="source VSA"),
    pytest.param(lambda data: read_review_record(parse_statement(data)), review_statement(), id="review record"),
    pytest.param(
        lambda data: read_tree_approvals(parse_statement(data)),
        approvals_statement(tree="a" * 40, approvers=["a+1"]),
        id="gittuf approval",
    ),
    pytest.param(parse_vsa, source_statement(verified=NOW), id="VSA"),
    pytest.param(decode_facts, b"{}", id="facts"),
    pytest.param(decode_decision, b"{}", id="findings"),
    pytest.param(decode_results, b"{}", id="results"),
]
SCRAPS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize(("parse", "good"), PARSERS)
@settings(max_examples=40)
@given(data=st.data())
def test_any_bytes(parse: Callable[[bytes], object], good: bytes, data: st.DataObject) -> None:
    with suppress(Malformed):
        parse(data.draw(st.binary(max_size=40)))
    position = data.draw(st.integers(0, len(good)))
    scrap = data.draw(st.binary(max_size=4))
    with suppress(Malformed):
        parse(good[:position] + scrap + good[position + data.draw(st.integers(0, 4)) :])


@pytest.mark.parametrize(("parse", "good"), PARSERS)
@settings(max_examples=60)
@given(data=st.data())
def test_any_value_in_any_place(parse: Callable[[bytes], object], good: bytes, data: st.DataObject) -> None:
    value = json.loads(good)
    _replace_somewhere(value, data)
    with suppress(Malformed):
        parse(json.dumps(value).encode())


def _replace_somewhere(value: Any, data: st.DataObject) -> None:
    """Walk down a random path and put a scrap at its end."""
    while isinstance(value, dict | list) and value:
        place = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        if not isinstance(value[place], dict | list) or not value[place] or data.draw(st.integers(0, 3)) == 0:
            value[place] = data.draw(SCRAPS)
            return
        value = value[place]
