# SPDX-License-Identifier: Apache-2.0
"""Events in a key's life: what is refused with its remedy, and that an ended key never signs again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from signer.custodian.commands import (
    AddKey,
    Check,
    Done,
    Failed,
    KeyEvent,
    Reply,
    Signed,
    Status,
    StatusReport,
    UpdateTrust,
)
from signer.custodian.token_events import KeyLocated
from signer.domain.algorithm import Algorithm
from signer.domain.purpose import Purpose
from signer.domain.subject import Subject
from signer.formats.canonical import sha256_hex
from signer.formats.revocations import RevocationList, read_revocations
from signer.formats.rfc3339 import format_time
from signer.formats.spki import keyid, spki_der
from signer.formats.trust import TrustKey, parse_trust_file
from signer.ledger import leaves
from tests.unit.custodian.world import LEDGER_KEY, NOW, World

NEXT = ec.generate_private_key(ec.SECP256R1())
NEXT_SPKI = spki_der(NEXT.public_key())


@pytest.fixture
def world() -> World:
    return World()


def code(reply: Reply) -> str:
    assert isinstance(reply, Failed), reply
    assert reply.remedy or reply.code.startswith(("invalid-", "malformed-")), reply
    return reply.code


def done(reply: Reply) -> int:
    assert isinstance(reply, Done), reply
    return reply.leaf


def create(world: World, *, succeeds: str = "release", name: str = "spare", spki: bytes = NEXT_SPKI) -> Reply:
    answers = world.turn(AddKey(principal="operator", name=name, generate=True, succeeds=succeeds))
    if world.tickets in answers:
        return answers[world.tickets]
    (ticket, *_), world.tokens.looks = world.tokens.looks[-1], []
    answers |= world.turn(events=[KeyLocated(ticket=ticket, spki=spki, code="", detail="")])
    return answers[world.tickets]


def trust(world: World, *, version: int = 2, **changes: Any) -> Reply:
    """The owners list the release key and the next one."""
    row = world.ledger.trust()
    assert row is not None
    old = parse_trust_file(row.file).trust.keys
    listed: dict[str, Any] = {
        "name": "spare",
        "kid": keyid(NEXT_SPKI),
        "spki": NEXT_SPKI,
        "purpose": Purpose.STATEMENT,
        "algorithm": Algorithm.ECDSA_P256,
        "status": "active",
        "not_before": NOW - timedelta(hours=1),
        "not_after": None,
        **changes,
    }
    data = world.trust_document(
        version=version, keys=(*(key for key in old if key.name != "spare"), TrustKey(**listed))
    )
    signatures = world.sign("trust", version, sha256_hex(data))
    return world.ask(UpdateTrust(principal="operator", data=data, signatures=signatures))


def event(kind: str, name: str, *, reason: str = "drill", since: str = "") -> KeyEvent:
    return KeyEvent(principal="operator", event=kind, name=name, reason=reason, since=since)


def compromise(world: World, name: str = "release", *, days: int = 1) -> int:
    since = format_time(world.clock.now() - timedelta(days=days))
    return done(world.ask(event("compromised", name, since=since)))


def newest_list(world: World) -> RevocationList:
    return read_revocations(world.published[-1], [LEDGER_KEY.public_key()])


def kid_of(reply: Reply, world: World) -> str:
    """Under which key the newest outcome was signed."""
    assert isinstance(reply, Signed), reply
    outcomes = [leaf for _, leaf in world.ledger.all() if isinstance(leaf, leaves.Outcome)]
    return outcomes[-1].signatures[0].kid


def test_a_rotation_switches_the_key_and_the_policy_stays(world: World) -> None:
    assert kid_of(world.ask(world.decide()), world) == keyid(world.spki)
    done(create(world))
    done(trust(world))
    index = done(world.ask(event("rotated", "spare")))
    leaf = world.ledger.all()[index][1]
    assert isinstance(leaf, leaves.Key)
    assert (leaf.event, leaf.name, leaf.kid) == ("rotated", "spare", keyid(NEXT_SPKI))
    world.tokens.private = NEXT
    assert kid_of(world.ask(world.decide()), world) == keyid(NEXT_SPKI)


def test_a_rotation_can_be_taken_back_until_the_old_key_is_retired(world: World) -> None:
    done(create(world))
    done(trust(world))
    done(world.ask(event("rotated", "spare")))
    done(world.ask(event("rotated", "release")))
    assert kid_of(world.ask(world.decide()), world) == keyid(world.spki)
    done(world.ask(event("rotated", "spare")))
    done(world.ask(event("retired", "release")))
    assert code(world.ask(event("rotated", "release"))) == "key-ended"


def test_a_second_rotation_to_the_same_key_is_done_already(world: World) -> None:
    size = len(world.ledger.all())
    assert done(world.ask(event("rotated", "release"))) < size
    assert len(world.ledger.all()) == size


def test_a_next_key_does_not_rotate_in_before_the_owners_listed_it(world: World) -> None:
    done(create(world))
    reply = world.ask(event("rotated", "spare"))
    assert code(reply) == "key-not-trusted"
    assert isinstance(reply, Failed)
    assert "signer trust publish" in reply.remedy


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"status": "retired", "not_after": NOW}, id="listed as retired"),
        pytest.param({"not_before": NOW + timedelta(days=1)}, id="valid from tomorrow"),
        pytest.param({"not_after": NOW - timedelta(minutes=1)}, id="valid until a minute ago"),
    ],
)
def test_a_next_key_does_not_rotate_in_outside_what_the_owners_allow(world: World, changes: dict[str, Any]) -> None:
    done(create(world))
    done(trust(world, **changes))
    assert code(world.ask(event("rotated", "spare"))) == "key-not-trusted"


REFUSED: dict[str, tuple[KeyEvent, str]] = {
    "a key that nobody recorded": (event("rotated", "ghost"), "key-unknown"),
    "retiring the key that a policy needs": (event("retired", "release"), "key-in-use"),
    "no reason for a compromise": (
        event("compromised", "release", reason="", since=format_time(NOW)),
        "invalid-reason",
    ),
    "a reason with a line break": (
        event("compromised", "release", reason="a\nb", since=format_time(NOW)),
        "invalid-reason",
    ),
    "a compromise without a date": (event("compromised", "release"), "invalid-since"),
    "a compromise in the future": (
        event("compromised", "release", since=format_time(NOW + timedelta(days=400))),
        "invalid-since",
    ),
    "an event that does not exist": (event("destroyed", "release"), "malformed-frame"),
}


@pytest.mark.parametrize(("command", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_without_a_leaf(world: World, command: KeyEvent, expected: str) -> None:
    size = len(world.ledger.all())
    assert code(world.ask(command)) == expected
    assert len(world.ledger.all()) == size


def test_a_successor_needs_a_role_that_exists(world: World) -> None:
    assert code(create(world, succeeds="ghost")) == "key-unknown"


def test_a_key_is_recorded_once_with_one_role(world: World) -> None:
    index = done(create(world))
    assert done(create(world)) == index
    assert code(create(world, succeeds="")) == "key-pin-mismatch"


def test_a_compromised_key_signs_no_more_and_is_published(world: World) -> None:
    index = compromise(world)
    assert code(world.ask(world.decide())) == "key-not-active"
    entry = newest_list(world).key(keyid(world.spki))
    assert entry is not None
    assert (entry.leaf, entry.reason, entry.name) == (index, "drill", "release")
    assert world.tokens.refused == {keyid(world.spki)}
    status = world.ask(Status())
    assert isinstance(status, StatusReport)
    assert not status.ready


def test_nothing_that_a_key_signed_is_released_once_it_is_reported(world: World) -> None:
    world.turn(world.decide())
    ticket = world.tickets
    compromise(world)
    answers = world.turn(events=world.tokens.end())
    answers |= world.turn()
    assert isinstance(answers[ticket], Failed)
    outcome = world.ledger.all()[-1][1]
    assert isinstance(outcome, leaves.Outcome)
    assert (outcome.status, outcome.reason, outcome.signatures[0].bundle) == ("failed", "key-compromised", None)


def test_the_next_key_takes_over_after_a_compromise(world: World) -> None:
    done(create(world))
    done(trust(world))
    compromise(world)
    done(world.ask(event("rotated", "spare")))
    world.tokens.private = NEXT
    assert kid_of(world.ask(world.decide()), world) == keyid(NEXT_SPKI)
    assert newest_list(world).key(keyid(NEXT_SPKI)) is None


def test_a_compromise_only_moves_back_in_time(world: World) -> None:
    first = compromise(world, days=5)
    assert compromise(world, days=2) == first
    assert compromise(world, days=9) > first
    entry = newest_list(world).key(keyid(world.spki))
    assert entry is not None
    assert entry.since < NOW - timedelta(days=8)


def test_owners_cannot_list_an_ended_key_as_active(world: World) -> None:
    done(create(world))
    compromise(world, "spare")
    assert code(trust(world)) == "key-ended"


def test_the_list_is_renewed_each_hour_and_not_before(world: World) -> None:
    world.turn()
    written = len(world.published)
    world.clock.move(seconds=3599)
    world.turn()
    assert len(world.published) == written
    world.clock.move(seconds=2)
    world.turn()
    assert len(world.published) == written + 1
    assert newest_list(world).next_update > world.clock.now() + timedelta(hours=23)


def test_a_key_with_a_limit_is_called_that_often_and_no_more() -> None:
    world = World()
    world.limits["release"] = 2
    world.authority = world.new_authority()
    assert isinstance(world.ask(world.decide()), Signed)
    assert isinstance(world.ask(world.decide()), Signed)
    size = len(world.ledger.all())
    reply = world.ask(world.decide())
    assert code(reply) == "key-exhausted"
    assert len(world.ledger.all()) == size


def test_calls_in_work_count_towards_the_limit() -> None:
    world = World()
    world.limits["release"] = 1
    world.authority = world.new_authority()
    world.turn(world.decide())
    assert code(world.ask(world.decide())) == "key-exhausted"


def with_images(policy: bytes, *, version: int = 2, key: str = "images") -> bytes:
    """The demo policy in a version that signs images with `key`."""
    changed = policy.replace(b"version: 1", b"version: %d" % version, 1)
    assert b"formats: [vsa]" in changed
    return changed.replace(b"formats: [vsa]", f"formats: [vsa, cosign], imageKey: {key}".encode())


def test_a_policy_that_names_a_key_for_another_purpose_does_not_come_into_force() -> None:
    world = World()
    policy = world.ledger.active_all("policy")[0].data
    swapped = policy.replace(b"version: 1", b"version: 2", 1).replace(
        b'key: "release", formats: [vsa]', b"key: other, formats: [vsa, cosign], imageKey: release"
    )
    assert swapped != policy.replace(b"version: 1", b"version: 2", 1)
    reply = world.ask(world.activation("policy", 2, swapped))
    assert isinstance(reply, Failed)
    assert (reply.code, "the purpose image" in reply.remedy) == ("purpose-mixed", True)
    assert world.ledger.active_all("policy")[0].version == 1


def test_a_key_is_not_made_for_another_purpose_than_the_policy_names_it_for() -> None:
    world = World()
    policy = world.ledger.active_all("policy")[0].data
    done(world.ask(world.activation("policy", 2, with_images(policy, key="spare"))))
    # The settings of this world have it for statements.
    assert code(create(world, succeeds="")) == "purpose-mixed"
    assert world.tokens.looks == []


def test_a_decision_that_no_key_of_its_purpose_can_honour_is_not_made() -> None:
    world = World()
    policy = world.ledger.active_all("policy")[0].data
    done(world.ask(world.activation("policy", 2, with_images(policy))))
    size = len(world.ledger.all())
    image = Subject.of("registry.example.com/shop", {"sha256": "ab" * 32})
    assert code(world.ask(world.decide(image))) == "key-not-recorded"
    assert len(world.ledger.all()) == size


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["shop.tar"], "subject-not-image", id="a file"),
        pytest.param([f"registry.example.com/shop-{n}" for n in range(5)], "too-many-subjects", id="five images"),
    ],
)
def test_what_cannot_be_signed_as_images_is_refused_before_it_is_judged(names: list[str], expected: str) -> None:
    world = World()
    policy = world.ledger.active_all("policy")[0].data
    done(world.ask(world.activation("policy", 2, with_images(policy))))
    size = len(world.ledger.all())
    subjects = [Subject.of(name, {"sha256": f"{at:02x}" * 32}) for at, name in enumerate(names)]
    command = world.decide(*subjects)
    assert code(world.ask(command)) == code(world.ask(Check(judge=command.judge))) == expected
    assert len(world.ledger.all()) == size
