# SPDX-License-Identifier: Apache-2.0
"""S01, S02: a web process in an attacker's hands, speaking the custodian's protocol directly.

It may lie about what evidence says, for ever on record. It gets no foreign bytes signed, no other key used, no
verdict that the policy does not give on those facts, no row without its leaf; and no bytes of its crash or wedge
the custodian.
"""

from __future__ import annotations

import copy
import random
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from policy.decision import Verdict
from policy.document import parse_policy
from policy.engine import evaluate
from policy.facts import EvidenceFacts
from signer.custodian.commands import (
    Activate,
    AddKey,
    Check,
    Checked,
    Decide,
    Failed,
    Halt,
    KeepEvidence,
    NotSigned,
    OutcomeUnknown,
    Reply,
    Resume,
    Signed,
    Stale,
    StatusReport,
    UpdateTrust,
)
from signer.custodian.frames import FrameReader, decode_body, encode_frame
from signer.db import tables
from signer.db.engine import open_engine
from signer.formats.bundle import parse_bundle
from signer.formats.canonical import sha256_hex
from signer.formats.dsse import pae
from signer.formats.facts import decode_facts
from signer.formats.findings import decode_decision
from signer.formats.rfc3339 import parse_time
from signer.formats.spki import load_spki, verify_signature
from signer.formats.strict_json import parse_object
from signer.formats.vsa import parse_vsa
from signer.ledger import leaves
from signer.ledger.projections import rebuild
from tests.authority import ENVIRONMENT, KEY, ORIGIN, POLICY, LiveAuthority, subject

REPLY = msgspec.msgpack.Decoder(Reply)
SEED = 20_261_123


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAuthority]:
    live = LiveAuthority.found(tmp_path_factory.mktemp("authority"))
    with live.running():
        live.add_key("spare")
        live.publish_trust(version=2)
        live.wait_until_ready()
        yield live


@pytest.fixture(autouse=True)
def unharmed(authority: LiveAuthority) -> Iterator[None]:
    """After every attempt: the same process, ready, one tree, and nothing on record that breaks an invariant."""
    assert authority.process is not None
    pid = authority.process.pid
    yield
    assert authority.process.poll() is None, authority.log()[-3000:]
    assert authority.process.pid == pid
    assert authority.status().ready, authority.status().problems
    assert_only_what_the_policy_gave_was_signed(authority)


def hostile(authority: LiveAuthority, data: bytes | bytearray | dict[str, Any], *, replies: int = 1) -> list[Reply]:
    """Send raw bytes on a fresh connection and read what comes back, up to the hang-up."""
    if isinstance(data, dict):
        body = msgspec.msgpack.encode(data)
        data = len(body).to_bytes(4) + body
    read: list[Reply] = []
    reader = FrameReader(limit=1 << 26)
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(20)
        channel.connect(str(authority.settings.custodian.socket))
        try:
            channel.sendall(data)
            while len(read) < replies:
                body_read = reader.next()
                if body_read is not None:
                    read.append(decode_body(body_read, REPLY))
                    continue
                chunk = channel.recv(1 << 20)
                if not chunk:
                    break
                reader.feed(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass
    return read


def assert_only_what_the_policy_gave_was_signed(authority: LiveAuthority) -> None:
    reader = authority.reader()
    all_leaves = [leaves.decode_leaf(reader.leaf(index)) for index in range(reader.head().size)]
    pins = {leaf.kid: leaf for leaf in all_leaves if isinstance(leaf, leaves.Key)}
    decisions = {index: leaf for index, leaf in enumerate(all_leaves) if isinstance(leaf, leaves.Decision)}

    def document(digest: str) -> bytes:
        kept = reader.document(digest)
        assert kept is not None
        return kept.data

    for leaf in decisions.values():
        policy = parse_policy(document(leaf.policy.digest))
        given = evaluate(policy, decode_facts(document(leaf.facts)), now=parse_time(leaf.time, what="time"))
        assert given.verdict.value == leaf.verdict, "the verdict is the policy's, on exactly these facts"
        assert given == decode_decision(document(leaf.findings))
    for index, outcome in enumerate(all_leaves):
        if not isinstance(outcome, leaves.Outcome):
            continue
        decision = decisions[outcome.decision]
        assert outcome.decision < index
        assert (decision.request, decision.verdict) == (outcome.request, Verdict.ALLOW.value)
        for entry in outcome.signatures:
            assert pins[entry.kid].name == KEY, "the key that the policy names, and no other"
            if entry.bundle is None:
                continue
            envelope = parse_bundle(document(entry.bundle)).envelope
            message = pae(envelope.payload_type, envelope.payload)
            verify_signature(load_spki(authority.trust().keys[0].spki), message, envelope.signatures[0].sig)
            vsa = parse_vsa(envelope.payload)
            stated = parse_object(document(decision.subjects), limit=1 << 24)["subjects"]
            assert [each.artifact for each in vsa.subjects] == [each["digest"] for each in stated]
            assert (vsa.verifier, vsa.resource_uri) == (f"https://{ORIGIN}", f"https://{ORIGIN}/{POLICY}/{ENVIRONMENT}")
            assert (vsa.request_id, vsa.policy_digest) == (decision.request, decision.policy.digest)


def kinds(replies: list[Reply]) -> list[str]:
    return [reply.code if isinstance(reply, Failed) else type(reply).__name__ for reply in replies]


# Foreign bytes, other keys


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"payload": b"foreign"}, id="a payload"),
        pytest.param({"digest": b"\0" * 32}, id="a digest to sign"),
        pytest.param({"key": "spare"}, id="a key name"),
        pytest.param({"uri": "pkcs11:token=signer;object=spare;id=%02"}, id="a key's place"),
        pytest.param({"verdict": "allow"}, id="a verdict"),
        pytest.param({"leaf": b"{}"}, id="a leaf"),
    ],
)
def test_a_command_has_no_room_for(extra: dict[str, Any], authority: LiveAuthority) -> None:
    command = msgspec.to_builtins(authority.decide((), subject(1)), builtin_types=(bytes,))
    for place in (command, command["judge"]):
        forged = copy.deepcopy(command)
        (forged if place is command else forged["judge"]).update(extra)
        assert kinds(hostile(authority, forged)) == ["malformed-frame"]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(AddKey(principal="operator", name="spare", generate=True), id="record a key"),
        pytest.param(UpdateTrust(principal="operator", data=b"{}", signatures=()), id="publish trust"),
    ],
)
def test_the_web_socket_does_not_know_how_to(command: msgspec.Struct, authority: LiveAuthority) -> None:
    assert kinds(hostile(authority, encode_frame(command))) == ["malformed-frame"]


def test_no_document_comes_into_force_and_no_halt_ends_without_the_owners(authority: LiveAuthority) -> None:
    lax = authority.policy_bytes.replace(b"version: 1", b"version: 9", 1)
    act = Activate(principal="operator", document="policy", data=lax, signatures=())
    replayed = Activate(
        principal="operator",
        document="policy",
        data=lax,
        signatures=authority.sign_act("policy", 1, sha256_hex(authority.policy_bytes)),
    )
    for command in (act, replayed):
        assert kinds(hostile(authority, encode_frame(command))) == ["owner-threshold"]
    resume = Resume(principal="operator", halt_index=0, signatures=())
    assert kinds(hostile(authority, encode_frame(resume))) == ["not-halted"]


def test_a_signed_command_sent_again_signs_nothing_new(authority: LiveAuthority) -> None:
    command = authority.decide(None, subject(10), key="again")
    assert isinstance(authority.ask(command), Signed)
    size = authority.status().tree_size
    assert kinds(hostile(authority, encode_frame(command))) == ["Signed"], "the same receipt"
    bare = msgspec.structs.replace(command, idempotency=None)
    assert kinds(hostile(authority, encode_frame(bare))) == ["request-id-used"]
    assert authority.status().tree_size == size


# Verdicts


def no_facts(facts: EvidenceFacts) -> EvidenceFacts:
    return EvidenceFacts()


def untrusted(facts: EvidenceFacts) -> EvidenceFacts:
    return replace(facts, provenance=tuple(replace(item, builder=None) for item in facts.provenance))


def another_commit(facts: EvidenceFacts) -> EvidenceFacts:
    return replace(facts, provenance=tuple(replace(item, commit="0" * 40) for item in facts.provenance))


def unattested(facts: EvidenceFacts) -> EvidenceFacts:
    return replace(
        facts, tests=tuple(replace(item, origin=replace(item.origin, attested=False)) for item in facts.tests)
    )


def about_nothing(facts: EvidenceFacts) -> EvidenceFacts:
    return replace(facts, tests=tuple(replace(item, origin=replace(item.origin, covers=())) for item in facts.tests))


LIES: list[Callable[[EvidenceFacts], EvidenceFacts]] = [no_facts, untrusted, another_commit, unattested, about_nothing]


@pytest.mark.parametrize("lie", LIES)
def test_facts_that_do_not_satisfy_the_policy_are_denied_whoever_states_them(
    lie: Callable[[EvidenceFacts], EvidenceFacts], authority: LiveAuthority
) -> None:
    command = authority.decide(None, subject(100 + LIES.index(lie)))
    forged = msgspec.structs.replace(
        command, judge=msgspec.structs.replace(command.judge, facts=lie(command.judge.facts))
    )
    (reply,) = hostile(authority, encode_frame(forged))
    assert isinstance(reply, NotSigned)


def test_invented_facts_stay_on_record_beside_the_bytes_that_contradict_them(authority: LiveAuthority) -> None:
    """The one lie that works: it is logged with the evidence bytes, from which a pack re-derives the facts."""
    target = subject(20)
    finished = authority.evidence(target)
    command = authority.decide(finished, target)
    provenance = tuple(replace(item, dependencies=99) for item in command.judge.facts.provenance)
    forged = msgspec.structs.replace(
        command,
        judge=msgspec.structs.replace(command.judge, facts=replace(command.judge.facts, provenance=provenance)),
    )
    (reply,) = hostile(authority, encode_frame(forged))
    assert isinstance(reply, Signed)
    reader = authority.reader()
    for data in finished:
        kept = reader.document(sha256_hex(data))
        assert kept is not None
        assert kept.data == data


def test_evidence_on_record_cannot_be_left_out(authority: LiveAuthority) -> None:
    target = subject(30)
    assert isinstance(authority.ask(authority.decide(authority.evidence(target)[:1], target)), NotSigned)
    full = authority.decide(authority.evidence(target), target)
    new = {item.digest for item in full.judge.new}
    judge = msgspec.structs.replace(
        full.judge,
        used=tuple(digest for digest in full.judge.used if digest in new),
        facts=EvidenceFacts(
            **{
                name: tuple(item for item in getattr(full.judge.facts, name) if item.origin.digest in new)
                for name in ("provenance", "sources", "tests", "scans", "sboms", "documents")
            }
        ),
    )
    (reply,) = hostile(authority, encode_frame(Decide(judge=judge)))
    assert isinstance(reply, Stale)


# Rows


def test_every_row_follows_from_a_leaf(authority: LiveAuthority, tmp_path: Path) -> None:
    for number in range(3):
        authority.ask(authority.decide(None, subject(40 + number), key=f"row-{number}"))
        authority.ask(authority.decide((), subject(50 + number)))
    source = Path(authority.settings.ledger.database.removeprefix("sqlite:///"))
    for path in source.parent.glob("ledger.db*"):
        shutil.copy(path, tmp_path / path.name)
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}", read_only=False)

    def rows() -> dict[str, list[tuple[Any, ...]]]:
        with engine.connect() as connection:
            return {
                table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
                for table in tables.PROJECTIONS
            }

    before = rows()
    assert before["decision"]
    rebuild(engine)
    assert rows() == before
    engine.dispose()


# Bytes that crash nothing


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\0", id="a byte"),
        pytest.param(b"\xff" * 4, id="four gigabytes announced"),
        pytest.param((64 << 20).to_bytes(4), id="a frame of the full cap that never comes"),
        pytest.param(b"\0\0\0\0" * 1000, id="empty frames"),
        pytest.param((200_000).to_bytes(4) + b"\x91" * 200_000, id="nested arrays"),
        pytest.param((5).to_bytes(4) + b"\xdd\xff\xff\xff\xff", id="an array of four thousand million"),
        pytest.param((5).to_bytes(4) + b"\xc6\xff\xff\xff\xff", id="a string of four gigabytes"),
        pytest.param(b"POST /v1/signatures HTTP/1.1\r\n\r\n", id="HTTP"),
    ],
)
def test_garbage_is_answered_or_hung_up_on(data: bytes, authority: LiveAuthority) -> None:
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(authority.settings.custodian.socket))
        channel.settimeout(0.2)
        try:
            channel.sendall(data)
            channel.recv(1 << 16)
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            pass
    assert isinstance(authority.status(), StatusReport)


def test_truncated_frames_are_no_commands(authority: LiveAuthority) -> None:
    frame = bytes(encode_frame(authority.decide(None, subject(60))))
    size = authority.status().tree_size
    for cut in (1, 3, 4, 5, len(frame) // 2, len(frame) - 1):
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(str(authority.settings.custodian.socket))
            channel.sendall(frame[:cut])
    assert authority.status().tree_size == size


def test_flipped_bytes_never_crash_it(authority: LiveAuthority) -> None:
    chance = random.Random(SEED)
    frame = bytes(encode_frame(authority.decide((), subject(61))))
    for _ in range(150):
        forged = bytearray(frame)
        for _ in range(chance.randint(1, 4)):
            forged[chance.randrange(4, len(forged))] = chance.randrange(256)
        for reply in hostile(authority, forged):
            assert isinstance(reply, Failed | NotSigned | Stale), reply


WEIRD: list[Any] = [
    None,
    True,
    -1,
    2**63,
    2**64 - 1,
    1.5,
    float("nan"),
    "",
    "\0",
    "\x7f" * 5000,
    "\N{GRINNING FACE}" * 300,
    b"",
    b"\xff" * 100,
    [],
    [[]],
    {},
    {"": None},
]


def test_values_of_every_shape_in_every_field_never_crash_it(authority: LiveAuthority) -> None:
    chance = random.Random(SEED)
    command = msgspec.to_builtins(authority.decide(None, subject(62), key="weird"), builtin_types=(bytes,))
    plain = msgspec.to_builtins(authority.decide((), subject(63)), builtin_types=(bytes,))
    keep = msgspec.to_builtins(
        KeepEvidence(
            request_id="0" * 32, principal="robot:ci", policy=POLICY, items=authority.judge(authority.evidence()).new
        ),
        builtin_types=(bytes,),
    )
    for number in range(300):
        forged = copy.deepcopy(chance.choice([command, plain, keep]))
        parent, name = chance.choice(list(places(forged)))
        parent[name] = chance.choice(WEIRD)
        if "judge" in forged and isinstance(forged["judge"], dict) and number % 2:
            forged["judge"]["request_id"] = secrets.token_hex(16)
        for reply in hostile(authority, forged):
            assert not (isinstance(reply, Failed) and reply.family == "unavailable"), reply


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a message."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield value, name
        yield from places(inner)


def test_a_crowd_of_silent_connections_keeps_nobody_out(authority: LiveAuthority) -> None:
    crowd = []
    try:
        for _ in range(400):
            channel = socket.socket(socket.AF_UNIX)
            channel.connect(str(authority.settings.custodian.socket))
            channel.sendall(b"\0\0\1\0")
            crowd.append(channel)
        assert isinstance(authority.ask(Check(judge=authority.judge((), subject(64)))), Checked)
    finally:
        for channel in crowd:
            channel.close()


def test_a_forged_halt_only_stops(tmp_path: Path) -> None:
    """Stopping is the one power that a hostile web has; starting again takes the owners."""
    own = LiveAuthority.found(tmp_path / "authority")
    with own.running():
        own.ask(Halt(principal="robot:nobody", reason="forged"))
        assert kinds([own.ask(own.decide())]) == ["halted"]
        assert not isinstance(own.ask(own.decide()), OutcomeUnknown)
