# SPDX-License-Identifier: Apache-2.0
"""Abuse cases P: one meaning for every byte, and a bound on what reading costs."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from signer.dev.attestations import provenance_statement, sbom_statement, scan_statement
from signer.domain.subject import Subject
from tests.abuse.stack import BODY_LIMIT, DOCUMENT_LIMIT, Answer, Release, Stack, edited, question
from tests.unit.evidence.private_instance import PrivateInstance

MEGABYTE = 1024 * 1024


def sign(stack: Stack, body: bytes) -> Answer:
    """Send a body that must not be judged."""
    with stack.unrecorded():
        return stack.request("POST", "/v1/signatures", body)


def body_of(release: Release, *evidence: bytes, **changes: Any) -> bytes:
    return json.dumps({**question([release.subject], evidence, "demo", "release"), **changes}).encode()


# P01


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        pytest.param(b'"policy"', b'"policy": "other", "policy"', id="at the top"),
        pytest.param(b'"policy"', b'"policy": "other", "pol\\u0069cy"', id="escaped"),
        pytest.param(b'"digest"', b'"digest": {}, "digest"', id="in a subject"),
        pytest.param(b'{"sha256"', b'{"sha256": "", "sha256"', id="in a digest"),
        pytest.param(b'"evidence"', b'"evidence": [{"content": "", "content": ""}], "evidence"', id="in a list"),
    ],
)
def test_P01_a_key_that_stands_twice_refuses_the_request(stack: Stack, good: bytes, bad: bytes) -> None:
    body = body_of(stack.release())
    assert good in body
    assert sign(stack, body.replace(good, bad, 1)).said == (400, "duplicate-key")


def doubled(statement: bytes, good: bytes, bad: bytes) -> bytes:
    assert good in statement
    return statement.replace(good, bad, 1)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        pytest.param(b'"subject":', b'"subject":[],"subject":', id="in the statement"),
        pytest.param(b'"predicateType":', b'"predicateType":"x","predicateTyp\\u0065":', id="escaped in the statement"),
        pytest.param(b'"builder":', b'"builder":{"id":"https://dev.invalid/laptop"},"builder":', id="in the predicate"),
        pytest.param(b'{"id":', b'{"id":"https://dev.invalid/laptop","id":', id="deep in the predicate"),
    ],
)
def test_P01_a_key_that_stands_twice_refuses_signed_evidence(stack: Stack, good: bytes, bad: bytes) -> None:
    release = stack.release()
    statement = provenance_statement([release.subject], finished=release.finished, commit=release.commit)
    evidence = release.by("builder", doubled(statement, good, bad))
    with stack.unrecorded():
        assert stack.ask(release, [evidence]).said == (400, "duplicate-key")


def test_P01_a_key_that_stands_twice_refuses_the_envelope(stack: Stack) -> None:
    release = stack.release()
    envelope = doubled(release.sbom(), b'"payloadType":', b'"payloadType":"text/plain","payloadType":')
    with stack.unrecorded():
        assert stack.ask(release, [envelope]).said == (400, "duplicate-key")


# P02


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, "1" + "0" * 400, "9007199254740992", "0x10", "01",
     "+1", "1.", ".5", "1_0", "\uff11"],
)  # fmt: skip
def test_P02_a_number_that_readers_disagree_on_refuses(stack: Stack, number: str) -> None:
    body = b'{"halt_index": %s, "signatures": ["AA=="]}' % number.encode()
    with stack.unrecorded():
        assert stack.request("POST", "/v1/resume", body, by="alice").said == (400, "malformed-json")
    # And where no number is expected, deep in signed evidence.
    release = stack.release()
    statement = provenance_statement([release.subject], finished=release.finished, parameters={"number": 12345678})
    evidence = release.by("builder", doubled(statement, b"12345678", number.encode()))
    with stack.unrecorded():
        assert stack.ask(release, [evidence]).said == (400, "malformed-json")


@pytest.mark.parametrize("number", ["1.0", "1e2", '"1"', "true", "-1", "null"])
def test_P02_an_index_is_a_plain_integer(stack: Stack, number: str) -> None:
    body = b'{"halt_index": %s, "signatures": ["AA=="]}' % number.encode()
    with stack.unrecorded():
        assert stack.request("POST", "/v1/resume", body, by="alice").said == (400, "malformed-request")


def test_P02_minus_zero_is_the_zero_that_every_reader_sees(stack: Stack) -> None:
    def resume(number: str) -> Answer:
        body = b'{"halt_index": %s, "signatures": ["AA=="]}' % number.encode()
        with stack.unrecorded():
            return stack.request("POST", "/v1/resume", body, by="alice")

    minus, zero = resume("-0"), resume("0")
    assert minus.said == zero.said
    assert minus.json["detail"] == zero.json["detail"]
    assert resume("-0.0").said == (400, "malformed-request")


# P03


def many(count: int, make: Callable[[int], bytes]) -> bytes:
    return b",".join(map(make, range(count)))


HUGE: dict[str, tuple[Callable[[], bytes], tuple[int, str]]] = {
    "200k levels of lists": (lambda: b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", (413, "too-large")),
    "200k levels of objects": (lambda: b'{"a":' * 200_000 + b"0" + b"}" * 200_000, (413, "too-large")),
    "a thousand levels": (lambda: b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}", (400, "malformed-json")),
    "65 levels": (lambda: b'{"a":' + b"[" * 65 + b"]" * 65 + b"}", (400, "malformed-json")),
    "a million keys": (lambda: b"{" + many(1_000_000, lambda n: b'"k%d":0' % n) + b"}", (413, "too-large")),
    "4 million objects": (lambda: b'{"policy":[' + b",".join([b"{}"] * 4_000_000) + b"]}", (413, "too-large")),
    "4 million half-open lists": (lambda: b'{"policy":[' + b"[" * 8_000_000, (413, "too-large")),
    "100k unknown keys": (lambda: b"{" + many(100_000, lambda n: b'"k%d":0' % n) + b"}", (400, "malformed-request")),
    "a string of 10 MB": (lambda: b'{"policy":"' + b"a" * 10_000_000 + b'"}', (400, "malformed-request")),
    "a number of 10 MB": (lambda: b'{"policy":' + b"9" * 10_000_000 + b"}", (400, "malformed-json")),
    "10 MB of spaces": (lambda: b" " * 10_000_000, (400, "malformed-json")),
}


@pytest.mark.parametrize(("make", "expected"), HUGE.values(), ids=HUGE.keys())
def test_P03_a_huge_body_costs_little(stack: Stack, make: Callable[[], bytes], expected: tuple[int, str]) -> None:
    body = make()
    begun = time.monotonic()
    with stack.bounded(6 * BODY_LIMIT):
        answer = sign(stack, body)
    assert answer.said == expected
    # Milliseconds when nobody else uses the machine; far below what a parse of these would take in any case.
    assert time.monotonic() - begun < 3


def test_P03_the_largest_good_request_is_below_the_bound(stack: Stack) -> None:
    crowd = [Subject.of(f"registry.example/shop/part-{number}", {"sha256": f"{number:064x}"}) for number in range(1000)]
    documents = [
        {
            "content": base64.b64encode(b"%d" % number).decode(),
            "kind": "build-log",
            "media_type": "text/plain",
            "subjects": [f"sha256:{subject.sha256}" for subject in crowd],
        }
        for number in range(64)
    ]
    body = {**question(crowd, [], "demo", "release"), "evidence": documents}
    assert stack.post("/v1/checks", body).said == (409, "evidence-missing")


def test_P03_wide_evidence_costs_little(stack: Stack) -> None:
    release = stack.release()
    wide = b'{"payload":"","payloadType":"x","signatures":[{"sig":"AAAA"}],"x":[%s]}' % b",".join([b"{}"] * 300_000)
    begun = time.monotonic()
    with stack.bounded(6 * BODY_LIMIT):
        answer = stack.ask(release, [wide])
    assert answer.said == (409, "evidence-missing")
    assert time.monotonic() - begun < 3


# P04

GOOD = b'{"policy":"demo","environment":"release","subjects":[],"x":"%s"}'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"policy":"demo"}'.encode("utf-16"), id="UTF-16 with its mark"),
        pytest.param('{"policy":"demo"}'.encode("utf-16-le"), id="UTF-16"),
        pytest.param('{"policy":"demo"}'.encode("utf-32"), id="UTF-32"),
        pytest.param(b"\xef\xbb\xbf" + GOOD % b"a", id="a byte order mark"),
        pytest.param(GOOD % b"\\ud800", id="a lone surrogate"),
        pytest.param(GOOD % b"\\udc00\\ud800", id="surrogates in the wrong order"),
        pytest.param(GOOD % b"\xed\xa0\x80", id="a surrogate in UTF-8"),
        pytest.param(GOOD % b"\xc0\xae", id="overlong UTF-8"),
        pytest.param(GOOD % b"\xf4\x90\x80\x80", id="beyond U+10FFFF"),
        pytest.param(GOOD % b"\xff", id="no UTF-8 at all"),
        pytest.param(GOOD % b"\x00", id="NUL"),
        pytest.param(GOOD % b"\n", id="a line break in a string"),
        pytest.param(GOOD % b"a" + b"\x00", id="NUL after the end"),
    ],
)
def test_P04_anything_but_utf_8_refuses(stack: Stack, body: bytes) -> None:
    assert sign(stack, body).said == (400, "malformed-json")


def test_P04_another_declared_encoding_refuses(stack: Stack) -> None:
    body = body_of(stack.release())
    for kind in ("application/json; charset=utf-16", "application/json; charset=latin-1", "text/json", "text/plain"):
        with stack.unrecorded():
            answer = stack.request("POST", "/v1/signatures", body, headers={"Content-Type": kind})
        assert answer.said == (415, "unsupported-media-type")


def test_P04_an_escaped_nul_reaches_nothing(stack: Stack) -> None:
    release = stack.release()
    for name in ("policy", "environment"):
        assert sign(stack, body_of(release, **{name: "demo\x00"})).said == (400, "malformed-request")
    assert sign(stack, body_of(release, subjects=[{"name": "a\x00", "digest": {"sha256": "0" * 64}}])).said == (
        400,
        "invalid-subject",
    )
    assert stack.request("GET", "/v1/evidence/%00").said == (404, "not-found")


# P05


def respelled(text: str) -> dict[str, str]:
    """Other spellings of a base64 text that lax readers take for the same."""
    return {
        "junk": text[:8] + "!" + text[8:],
        "a line break": text[:76] + "\n" + text[76:],
        "a space at the end": text + " ",
        "missing padding": text.rstrip("="),
        "too much padding": text + "=",
        "four more pads": text + "====",
        "both alphabets": "-/" + text[2:],
        "data after the padding": text + "AAAA",
        "a full-width letter": "\uff21" + text[1:],
    }


@pytest.mark.parametrize("spelling", respelled("").keys())
def test_P05_base64_has_one_spelling(stack: Stack, spelling: str) -> None:
    release = stack.release()
    # One byte more than a multiple of three, so that there is padding.
    statement = sbom_statement([release.subject], created=release.finished)
    item = release.by("builder", statement + b" " * ((1 - len(statement)) % 3))
    text = respelled(base64.b64encode(item + b" " * ((1 - len(item)) % 3)).decode())[spelling]
    assert sign(stack, body_of(release, evidence=[{"content": text}])).said == (400, "invalid-encoding")
    # The same inside an envelope, where the signature would still verify under a lax reader.
    envelope = json.loads(item)
    assert envelope["payload"].endswith("==")
    envelope["payload"] = respelled(envelope["payload"])[spelling]
    with stack.unrecorded():
        assert stack.ask(release, [json.dumps(envelope).encode()]).said == (400, "invalid-encoding")


def test_P05_trailing_bits_are_zero(stack: Stack) -> None:
    release = stack.release()
    assert base64.b64decode("aGl=", validate=True) == base64.b64decode("aGk="), "lax readers take both"
    assert sign(stack, body_of(release, evidence=[{"content": "aGl="}])).said == (400, "invalid-encoding")


# P06


@pytest.mark.parametrize(
    "digest",
    [
        pytest.param({"sha256": "A" * 64}, id="upper case"),
        pytest.param({"sha256": "a" * 63}, id="63 digits"),
        pytest.param({"sha256": "a" * 65}, id="65 digits"),
        pytest.param({"sha256": " " + "a" * 63}, id="a space"),
        pytest.param({"sha256": "a" * 64 + "\n"}, id="a line break at the end"),
        pytest.param({"sha256": "sha256:" + "a" * 64}, id="the algorithm again"),
        pytest.param({"sha256": "0x" + "a" * 62}, id="0x"),
        pytest.param({"sha256": "\uff11" * 64}, id="full-width digits"),
        pytest.param({"sha256": "a" * 128}, id="a sha512 value under sha256"),
        pytest.param({"sha512": "a" * 128}, id="no sha256"),
        pytest.param({"sha256": "a" * 64, "sha512": "a" * 64}, id="a sha256 value under sha512"),
        pytest.param({"sha256": "a" * 64, "md5": "a" * 32}, id="md5 beside it"),
        pytest.param({"sha1": "a" * 40}, id="sha1"),
        pytest.param({"SHA256": "a" * 64}, id="another spelling of the algorithm"),
        pytest.param({"sha256": ""}, id="nothing"),
        pytest.param({}, id="no digest"),
    ],
)
def test_P06_a_digest_has_one_spelling(stack: Stack, digest: dict[str, str]) -> None:
    body = body_of(stack.release(), subjects=[{"name": "shop.tar", "digest": digest}])
    assert sign(stack, body).said == (400, "invalid-digest")


def test_P06_a_digest_in_a_path_or_query_has_one_spelling(stack: Stack) -> None:
    release = stack.release()
    assert stack.ask(release, release.evidence()).status == 200
    digest = release.subject.sha256
    for odd in (digest.upper(), f"sha256:{digest}", digest[:-1], f"{digest}%0a"):
        assert stack.request("GET", f"/v1/decisions?digest={odd}").said == (400, "malformed-request")
        assert stack.request("GET", f"/v1/evidence/{odd}").said == (404, "not-found")


# P07


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"comment": "hello"}, id="an unknown member"),
        pytest.param({"Policy": "demo"}, id="a member in another case"),
        pytest.param({"policy": 1}, id="a number for a name"),
        pytest.param({"policy": None}, id="null for a name"),
        pytest.param({"environment": True}, id="a boolean for a name"),
        pytest.param({"environment": ["release"]}, id="a list for a name"),
        pytest.param({"subjects": None}, id="null for subjects"),
        pytest.param({"subjects": {}}, id="an object for subjects"),
        pytest.param({"subjects": []}, id="no subject"),
        pytest.param({"subjects": [{"name": 1, "digest": {"sha256": "a" * 64}}]}, id="a number as subject name"),
        pytest.param(
            {"subjects": [{"name": "a", "digest": {"sha256": "a" * 64}, "uri": "x"}]},
            id="an unknown member in a subject",
        ),
        pytest.param({"evidence": None}, id="null for evidence"),
        pytest.param({"evidence": [None]}, id="null as evidence"),
        pytest.param({"evidence": [{"content": 1}]}, id="a number for bytes"),
        pytest.param({"evidence": [{"content": "", "url": "https://a"}]}, id="an unknown member in evidence"),
    ],
)
def test_P07_nothing_is_coerced_or_passed_over(stack: Stack, changes: dict[str, Any]) -> None:
    assert sign(stack, body_of(stack.release(), **changes)).said == (400, "malformed-request")


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"", b"{} {}"])
def test_P07_a_body_is_one_object(stack: Stack, body: bytes) -> None:
    assert sign(stack, body).said == (400, "malformed-json")


@pytest.mark.parametrize(
    "query", ["limit=yes", "limit=1.0", "limit=01", "limit=%EF%BC%91", "limit=1_0", "unknown=1", "limit=1&limit=2"]
)
def test_P07_a_query_is_not_coerced_either(stack: Stack, query: str) -> None:
    assert stack.request("GET", f"/v1/decisions?{query}").said == (400, "malformed-request")


# P08

HEAD = b"POST /v1/signatures HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def pour(stack: Stack, head: bytes, piece: bytes, total: int) -> tuple[bytes, int]:
    """Send without end until the server has had enough; its answer and what it took.

    In a thread of its own: OpenSSL keeps the broken pipe for its thread, and the next connection there would meet it.
    """
    with ThreadPoolExecutor(1) as other:
        return other.submit(_pour, stack, head, piece, total).result()


def _pour(stack: Stack, head: bytes, piece: bytes, total: int) -> tuple[bytes, int]:
    sent = 0
    with stack.connect(stack.context(stack.identities["ci"])) as connection:
        connection.sendall(head)
        with contextlib.suppress(OSError):
            while sent < total:
                connection.sendall(piece)
                sent += len(piece)
        return connection.recv(4096), sent


def test_P08_an_endless_body_ends_at_the_cap_without_growth(stack: Stack) -> None:
    piece = b"100000\r\n" + b" " * MEGABYTE + b"\r\n"
    with stack.unrecorded(), stack.bounded(6 * BODY_LIMIT):
        answer, sent = pour(stack, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", piece, 256 * MEGABYTE)
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:100]
    assert sent < 64 * MEGABYTE, "it was taken far beyond the cap"


def test_P08_a_body_that_announces_two_gigabytes_is_not_read(stack: Stack) -> None:
    head = HEAD + b"Content-Length: 2147483648\r\n\r\n"
    with stack.unrecorded(), stack.bounded(BODY_LIMIT):
        answer, sent = pour(stack, head, b" " * MEGABYTE, 256 * MEGABYTE)
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:100]
    assert sent < 64 * MEGABYTE


UPLOAD = b"POST /v1/uploads HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\n"
HELD = 64 * MEGABYTE
"""What two uploads at once may hold in memory, far below what they send."""


@pytest.mark.parametrize(
    ("end", "piece"),
    [
        (b"Content-Length: 2147483648\r\n\r\n", b"x" * MEGABYTE),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + b"x" * MEGABYTE + b"\r\n"),
    ],
    ids=["with its length", "in chunks"],
)
def test_P08_an_upload_of_two_gigabytes_ends_at_the_cap_without_growth(stack: Stack, end: bytes, piece: bytes) -> None:
    with stack.unrecorded(), stack.bounded(HELD):
        answer, sent = pour(stack, UPLOAD + end, piece, 2048 * MEGABYTE)
    assert answer.startswith(b"HTTP/1.1 413 "), answer[:100]
    assert sent < DOCUMENT_LIMIT + 64 * MEGABYTE
    assert list(stack.authority.spool.iterdir()) == [], "nothing of it stays"


def test_P08_a_large_document_grows_no_process(stack: Stack) -> None:
    document = b"one line of a build log\n" * 4_000_000
    assert len(document) < DOCUMENT_LIMIT
    with stack.bounded(HELD):
        answer = stack.request("POST", "/v1/uploads", document, headers={"Content-Type": "application/octet-stream"})
        assert answer.said == (201, "")
        about = {"kind": "build-log", "media_type": "text/plain", "subjects": [f"sha256:{'ab' * 32}"]}
        named = {"policy": "demo", "evidence": [{"upload": answer.json["digest"], **about}]}
        assert stack.request("POST", "/v1/evidence", json.dumps(named).encode()).said == (201, "")
        fetched = stack.request("GET", f"/v1/evidence/{answer.json['digest']}")
    assert fetched.body == document


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip"])
def test_P08_a_compressed_body_is_not_opened(stack: Stack, coding: str) -> None:
    bomb = gzip.compress(b" " * 64 * MEGABYTE)
    with stack.unrecorded(), stack.bounded(BODY_LIMIT):
        answer = stack.request("POST", "/v1/signatures", bomb, headers={"Content-Encoding": coding})
    assert answer.said == (415, "unsupported-media-type")


# P09


def test_P09_thousands_of_signatures_or_subjects_are_counted_first(stack: Stack) -> None:
    release = stack.release()
    good = json.loads(release.sbom())
    crowded = json.dumps({**good, "signatures": good["signatures"] * 10_000}).encode()[: MEGABYTE - 4]
    crowd = [Subject.of(f"a{number}", {"sha256": f"{number:064x}"}) for number in range(1100)]
    for evidence in (
        json.dumps({**good, "signatures": good["signatures"] * 5000}).encode(),
        json.dumps({**good, "signatures": [{"sig": "AAAA"}] * 10_000}).encode(),
        release.sbom(release.subject, *crowd),
    ):
        begun = time.monotonic()
        with stack.unrecorded():
            assert stack.ask(release, [evidence]).said == (413, "too-large")
        assert time.monotonic() - begun < 3
    with stack.unrecorded():
        assert stack.ask(release, [crowded]).said == (400, "malformed-json")


def test_P09_evidence_beyond_one_mebibyte_is_refused(stack: Stack) -> None:
    release = stack.release()
    crowd = [Subject.of(f"a{number}", {"sha256": f"{number:064x}"}) for number in range(100_000)]
    for evidence in (release.sbom(release.subject, *crowd[:12_000]), b"{" + b" " * MEGABYTE):
        with stack.unrecorded():
            assert stack.ask(release, [evidence]).said == (413, "too-large")


def test_P09_more_subjects_or_evidence_than_a_request_has_are_refused(stack: Stack) -> None:
    release = stack.release()
    crowd = [Subject.of(f"a{number}", {"sha256": f"{number:064x}"}) for number in range(1001)]
    with stack.unrecorded():
        assert stack.ask(crowd, []).said == (400, "malformed-request")
        assert stack.ask(release, [b"{%d}" % number for number in range(65)]).said == (400, "malformed-request")


def certificates(count: int) -> dict[str, Any]:
    """A chain of so many, in the shape of the older bundles."""
    one = {"rawBytes": base64.b64encode(b"\x30\x82" + b"\xff" * 300).decode()}
    return {"x509CertificateChain": {"certificates": [one] * count}}


@pytest.mark.usefixtures("instance")
@pytest.mark.parametrize(
    "material",
    [
        pytest.param(certificates(1000), id="a thousand certificates"),
        pytest.param({**certificates(1), "tlogEntries": [{}] * 1000}, id="a thousand log entries"),
        pytest.param(
            {**certificates(1), "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": ""}] * 1000}},
            id="a thousand timestamps",
        ),
    ],
)
def test_P09_the_parts_of_a_bundle_are_counted_first(stack: Stack, material: dict[str, Any]) -> None:
    release = stack.release()
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "verificationMaterial": material,
        # Signed by a key that the policy trusts: what is beside it opens no door.
        "dsseEnvelope": json.loads(release.sbom()),
    }
    begun = time.monotonic()
    for policy in ("demo", "keyless"):
        with stack.unrecorded():
            assert stack.ask(release, [json.dumps(bundle).encode()], policy=policy).said == (413, "too-large")
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("name", ["=#", "CN=#", "=", "\\", "+,;<>", "a" * 64])
def test_P09_the_name_in_a_certificate_is_never_read(stack: Stack, instance: PrivateInstance, name: str) -> None:
    release = stack.release()
    bundle = instance.bundle(release.built_keyless(), name=name)
    assert stack.ask(release, [bundle], policy="keyless").status == 200


# P10


@pytest.mark.parametrize(
    ("name", "item"),
    [("subjects", b"0"), ("subjects", b'{"a":0}'), ("evidence", b"0"), ("evidence", b'{"content":"!"}')],
)
def test_P10_a_million_faults_are_not_listed(stack: Stack, name: str, item: bytes) -> None:
    body = b'{"%s":[' % name.encode() + b",".join([item] * 1_000_000) + b"]}"
    for sent in (body, body[: len(b'{"subjects":[') + (len(item) + 1) * 40_000 - 1] + b"]}"):
        begun = time.monotonic()
        answer = sign(stack, sent)
        assert answer.status in (400, 413)
        assert len(answer.body) < 2000
        assert time.monotonic() - begun < 3


# P11

TIMES = {
    "naive": "2026-11-23T10:00:00",
    "a date": "2026-11-23",
    "a leap second": "2016-12-31T23:59:60Z",
    "the year 9999": "9999-12-31T23:59:59Z",
    "the year 1": "0001-01-01T00:00:00Z",
    "a space": "2026-11-23 10:00:00Z",
    "lower case": "2026-11-23t10:00:00z",
    "a month that is none": "2026-13-01T00:00:00Z",
    "an offset that is none": "2026-11-23T10:00:00+25:00",
    "a unix time": "1795428000",
    "full-width digits": "\uff12026-11-23T10:00:00Z",
    "a line break": "2026-11-23T10:00:00Z\n",
    "empty": "",
}


@pytest.mark.parametrize("text", TIMES.values(), ids=TIMES.keys())
def test_P11_a_time_is_an_instant(stack: Stack, text: str) -> None:
    release = stack.release()
    statement = scan_statement([release.subject], finished=release.finished)
    evidence = release.by("scanner", edited(statement, lambda value: scan_finished(value, text)))
    with stack.unrecorded():
        assert stack.ask(release, [evidence]).said == (422, "evidence-invalid")
    query = "".join(f"%{byte:02x}" for byte in text.encode())
    assert stack.request("GET", f"/v1/decisions?since={query}").said == (400, "malformed-request")


def scan_finished(value: dict[str, Any], text: str) -> None:
    value["predicate"]["metadata"]["scanFinishedOn"] = text
