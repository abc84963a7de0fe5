# SPDX-License-Identifier: Apache-2.0
"""The whole ledger: proven from its leaves, and each tampering named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from signer.formats.trust import TrustDocument
from signer.ledger.approval_leaves import ApprovalLeaf, ApprovalRevocationLeaf
from signer.ledger.leaves import Genesis, Outcome, WaiverEndLeaf, WaiverLeaf, decode_leaf, encode_leaf
from signer.tlog.merkle import leaf_hash
from signer.tlog.tiles import WIDTH, Tile, encode_entries
from signer.verify.checks import CheckFailed, Checklist
from signer.verify.log import VerifiedLog, verify_log
from signer.verify.proven import LogSource, TileDirectory
from tests.unit.verify.authority import Authority, changed, halt_leaf, tile_of

LEAVES = 2 * WIDTH + 40
WAIVER = "ab" * 32


@pytest.fixture(scope="module")
def authority() -> Authority:
    """A ledger of two full tiles and a partial one, with one signed release in it."""
    made = Authority()
    made.release()
    while len(made.bodies) < LEAVES:
        made.append(halt_leaf(len(made.bodies)))
    return made


class Source:
    """A ledger as `authority` has it, with some leaves or hashes replaced."""

    def __init__(
        self,
        authority: Authority,
        *,
        bodies: dict[int, bytes] | None = None,
        hashes: dict[int, bytes] | None = None,
        checkpoint: bytes | None = None,
    ) -> None:
        self.authority, self.bodies, self.hashes = authority, bodies or {}, hashes or {}
        self.head = checkpoint or authority.checkpoint()

    def checkpoint(self) -> bytes:
        return self.head

    def tile(self, tile: Tile) -> bytes:
        places = range(tile.n * WIDTH, tile.n * WIDTH + tile.width)
        if tile.level is None:
            return encode_entries([self.bodies.get(place, self.authority.bodies[place]) for place in places])
        hashes = [self.hashes.get(place, leaf_hash(body)) for place, body in enumerate(self.authority.bodies)]
        return tile_of(hashes, tile)


def verify(
    source: LogSource, trust: TrustDocument, *earlier: bytes, span: tuple[int, int] | None = None
) -> VerifiedLog:
    return verify_log(source, trust=trust, checks=Checklist(), earlier=earlier, span=span)


def test_a_ledger_verifies_and_counts_its_leaves(authority: Authority) -> None:
    verified = verify(Source(authority), authority.trust_document())
    assert verified.checkpoint.size == LEAVES
    assert verified.leaves == {"genesis": 1, "decision": 1, "outcome": 1, "halt": LEAVES - 3}
    assert verified.open_decisions == ()


@pytest.mark.parametrize("size", [1, 2, WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH, LEAVES])
def test_a_ledger_extends_every_checkpoint_seen_before(authority: Authority, size: int) -> None:
    assert verify(Source(authority), authority.trust_document(), authority.checkpoint(size)).checkpoint.size == LEAVES


def test_a_ledger_of_one_leaf_verifies() -> None:
    authority = Authority()
    assert verify(Source(authority), authority.trust_document()).leaves == {"genesis": 1}


def test_an_allowed_decision_without_outcome_is_told() -> None:
    authority = Authority()
    authority.release()
    authority.bodies.pop()
    assert verify(Source(authority), authority.trust_document()).open_decisions == (1,)


def test_a_ledger_verifies_from_a_directory(authority: Authority, tmp_path: Path) -> None:
    authority.write(tmp_path)
    assert verify(TileDirectory(tmp_path), authority.trust_document()).checkpoint.size == LEAVES


def test_a_file_that_is_missing_is_named(authority: Authority, tmp_path: Path) -> None:
    authority.write(tmp_path)
    for path in ("tile/entries/001", "tile/0/001", "tile/1/000.p/2", "checkpoint"):
        held = (tmp_path / path).read_bytes()
        (tmp_path / path).unlink()
        with pytest.raises(CheckFailed) as refused:
            verify(TileDirectory(tmp_path), authority.trust_document())
        assert (refused.value.code, path in refused.value.found) == ("tile-missing", True)
        (tmp_path / path).write_bytes(held)


@pytest.mark.parametrize(
    ("span", "kinds"),
    [
        pytest.param((0, 3), {"genesis": 1, "decision": 1, "outcome": 1}, id="from the first"),
        pytest.param((2, WIDTH + 1), {"outcome": 1, "halt": WIDTH - 2}, id="over the edge of a tile"),
        pytest.param((LEAVES - 1, LEAVES), {"halt": 1}, id="the last one alone"),
    ],
)
def test_a_range_is_proven_without_the_rest(authority: Authority, span: tuple[int, int], kinds: dict[str, int]) -> None:
    class Rest(Source):
        """Gives entries of the range alone."""

        def tile(self, tile: Tile) -> bytes:
            wanted = range(span[0] // WIDTH, (span[1] - 1) // WIDTH + 1)
            assert tile.level is not None or tile.n in wanted
            return super().tile(tile)

    assert verify(Rest(authority), authority.trust_document(), span=span).leaves == kinds


@pytest.mark.parametrize("span", [(5, 5), (6, 5), (0, LEAVES + 1)])
def test_a_range_outside_the_ledger_is_refused(authority: Authority, span: tuple[int, int]) -> None:
    with pytest.raises(CheckFailed) as refused:
        verify(Source(authority), authority.trust_document(), span=span)
    assert f"a range within {LEAVES} leaves" in refused.value.expected


def test_a_checkpoint_held_between_says_where_the_altered_leaf_is(authority: Authority) -> None:
    altered = encode_leaf(halt_leaf(5000))
    source = Source(authority, bodies={300: altered}, hashes={300: leaf_hash(altered)})
    held = [authority.checkpoint(size) for size in (LEAVES - 10, 301, 100, 299)]
    with pytest.raises(CheckFailed) as refused:
        verify(source, authority.trust_document(), *held)
    assert refused.value.found.endswith("changed is one of the leaves 299 to 300")


def forked(authority: Authority) -> bytes:
    """A checkpoint of another history of the same log."""
    other = Authority()
    for minute in range(5):
        other.append(halt_leaf(1000 + minute))
    return other.checkpoint()


def second_outcome(authority: Authority) -> None:
    authority.release()
    authority.append(
        Outcome(
            time="2026-11-23T10:00:01.000000Z",
            request="5d41402abc4b2a76b9719d911017c592",
            decision=1,
            status="signed",
            reason="",
            signatures=(),
        )
    )


def test_the_first_altered_leaf_is_named(authority: Authority) -> None:
    altered = {300: encode_leaf(halt_leaf(5000)), 301: encode_leaf(halt_leaf(5001))}
    with pytest.raises(CheckFailed) as refused:
        verify(Source(authority, bodies=altered), authority.trust_document())
    assert refused.value.code == "leaf-altered"
    assert "leaf 300" in refused.value.expected
    assert refused.value.found.endswith("the entry was altered")


def usurped(authority: Authority) -> bytes:
    """The genesis with one owner fewer."""
    genesis = decode_leaf(authority.bodies[0])
    assert isinstance(genesis, Genesis)
    return encode_leaf(changed(owners=genesis.owners[:2])(genesis))


TAMPERED: dict[str, tuple[Callable[[Authority], Source], str]] = {
    "a leaf altered together with its hash": (
        lambda held: Source(
            held,
            bodies={300: encode_leaf(halt_leaf(5000))},
            hashes={300: leaf_hash(encode_leaf(halt_leaf(5000)))},
        ),
        "root-mismatch",
    ),
    "two leaves exchanged": (
        lambda held: Source(
            held,
            bodies={300: held.bodies[301], 301: held.bodies[300]},
            hashes={300: leaf_hash(held.bodies[301]), 301: leaf_hash(held.bodies[300])},
        ),
        "root-mismatch",
    ),
    "another genesis": (
        lambda held: Source(
            held,
            bodies={0: Authority(origin="evil.example/authority").bodies[0]},
            hashes={0: leaf_hash(Authority(origin="evil.example/authority").bodies[0])},
        ),
        "genesis-mismatch",
    ),
    "a genesis of the same origin with other owners": (
        lambda held: Source(held, bodies={0: usurped(held)}, hashes={0: leaf_hash(usurped(held))}),
        "genesis-mismatch",
    ),
    "a leaf that is no leaf": (
        lambda held: Source(held, bodies={300: b"{}"}, hashes={300: leaf_hash(b"{}")}),
        "malformed-leaf",
    ),
    "a checkpoint of another log": (
        lambda held: Source(held, checkpoint=Authority(origin="evil.example/authority").checkpoint()),
        "checkpoint-foreign",
    ),
    "a checkpoint that nobody signed": (
        lambda held: Source(held, checkpoint=held.checkpoint().replace(b"\n" + str(LEAVES).encode(), b"\n7", 1)),
        "note-signature-invalid",
    ),
}


@pytest.mark.parametrize(("make", "code"), TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_ledger_is_refused(authority: Authority, make: Callable[[Authority], Source], code: str) -> None:
    with pytest.raises(CheckFailed) as refused:
        verify(make(authority), authority.trust_document())
    assert refused.value.code == code


def test_lost_leaves_are_noticed_by_an_earlier_checkpoint(authority: Authority) -> None:
    shorter = Source(authority, checkpoint=authority.checkpoint(LEAVES - 1))
    with pytest.raises(CheckFailed) as refused:
        verify(shorter, authority.trust_document(), authority.checkpoint(LEAVES))
    assert refused.value.code == "log-rollback"


def test_a_fork_is_noticed_by_an_earlier_checkpoint(authority: Authority) -> None:
    with pytest.raises(CheckFailed) as refused:
        verify(Source(authority), authority.trust_document(), forked(authority))
    assert refused.value.code == "root-mismatch"


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(lambda held: held.release(decision=changed(verdict="deny")), id="an outcome of a denial"),
        pytest.param(lambda held: held.release(outcome=changed(decision=0)), id="an outcome of another leaf"),
        pytest.param(lambda held: held.release(outcome=changed(request="00" * 16)), id="an outcome of another request"),
        pytest.param(second_outcome, id="a second outcome of one decision"),
    ],
)
def test_an_outcome_follows_from_one_open_decision(break_it: Callable[[Authority], object]) -> None:
    authority = Authority()
    break_it(authority)
    with pytest.raises(CheckFailed) as refused:
        verify(Source(authority), authority.trust_document())
    assert refused.value.code == "outcome-without-decision"


def test_a_second_genesis_is_refused() -> None:
    authority = Authority()
    authority.bodies.append(authority.bodies[0])
    with pytest.raises(CheckFailed) as refused:
        verify(Source(authority), authority.trust_document())
    assert refused.value.code == "genesis-mismatch"


def test_a_source_that_gives_too_few_entries_is_refused(authority: Authority) -> None:
    class Short(Source):
        def tile(self, tile: Tile) -> bytes:
            fewer = tile.level is None and tile.n == 1
            return super().tile(Tile(tile.level, tile.n, tile.width - 1) if fewer else tile)

    with pytest.raises(CheckFailed) as refused:
        verify(Short(authority), authority.trust_document())
    assert refused.value.code == "leaf-altered"
    assert f"leaf {2 * WIDTH - 1} is missing" in refused.value.found


def waiver_leaf(digest: str = WAIVER) -> WaiverLeaf:
    return WaiverLeaf(
        time=halt_leaf().time,
        digest=digest,
        envelope="cd" * 32,
        policy="demo",
        environment="release",
        requester="person:1",
        approver="person:2",
        renewal=0,
        principal="person:2",
    )


def waiver_end(digest: str = WAIVER) -> WaiverEndLeaf:
    return WaiverEndLeaf(time=halt_leaf().time, waiver=digest, reason="mended", principal="person:2")


def test_a_decision_rests_on_a_waiver_that_stands() -> None:
    authority = Authority()
    authority.append(waiver_leaf())
    authority.release(decision=changed(waivers=(WAIVER,)))
    authority.append(waiver_end())
    assert verify(Source(authority), authority.trust_document()).leaves["waiver"] == 1


@pytest.mark.parametrize(
    "before",
    [
        pytest.param((), id="that was never recorded"),
        pytest.param((waiver_leaf("ef" * 32),), id="when another one is"),
        pytest.param((waiver_leaf(), waiver_end()), id="that had ended before"),
    ],
)
def test_no_decision_rests_on_a_waiver(before: tuple[WaiverLeaf | WaiverEndLeaf, ...]) -> None:
    authority = Authority()
    for leaf in before:
        authority.append(leaf)
    authority.release(decision=changed(waivers=(WAIVER,)))
    with pytest.raises(CheckFailed) as refused:
        verify(Source(authority), authority.trust_document())
    assert refused.value.code == "waiver-not-in-force"


def approval_leaf(digest: str = WAIVER) -> ApprovalLeaf:
    return ApprovalLeaf(
        time=halt_leaf().time,
        verb="approve",
        digest=digest,
        envelope="cd" * 32,
        kid="kid",
        hold="ab" * 16,
        decision=1,
        sha256="9c" * 32,
        environment="release",
        policy="demo",
        policy_digest="1" * 64,
        cited="2" * 64,
        answers="3" * 64,
        person="person:1",
        groups=("sre",),
        at=halt_leaf().time,
        principal="person:1",
    )


def revoked_approval(digest: str = WAIVER) -> ApprovalRevocationLeaf:
    return ApprovalRevocationLeaf(
        time=halt_leaf().time, approval=digest, envelope="", reason="a mistake", principal="person:1"
    )


def test_a_release_rests_on_an_approval_that_stands() -> None:
    authority = Authority()
    authority.append(approval_leaf())
    authority.append(approval_leaf("ef" * 32))
    authority.append(revoked_approval("ef" * 32))
    authority.release(decision=changed(approvals=(WAIVER,)))
    assert verify(Source(authority), authority.trust_document()).leaves["approval"] == 2


@pytest.mark.parametrize(
    "before",
    [
        pytest.param((), id="that was never given"),
        pytest.param((approval_leaf("ef" * 32),), id="when another one is"),
        pytest.param((approval_leaf(), revoked_approval()), id="that was taken back before"),
    ],
)
def test_no_release_rests_on_an_approval(before: tuple[ApprovalLeaf | ApprovalRevocationLeaf, ...]) -> None:
    authority = Authority()
    for leaf in before:
        authority.append(leaf)
    authority.release(decision=changed(approvals=(WAIVER,)))
    with pytest.raises(CheckFailed) as refused:
        verify(Source(authority), authority.trust_document())
    assert refused.value.code == "approval-not-in-force"


def test_two_releases_never_rest_on_one_approval() -> None:
    authority = Authority()
    authority.append(approval_leaf())
    for _ in range(2):
        authority.release(decision=changed(approvals=(WAIVER,)))
    with pytest.raises(CheckFailed) as refused:
        verify(Source(authority), authority.trust_document())
    assert refused.value.code == "approval-not-in-force"


def test_an_approval_of_what_came_to_nothing_may_allow_once_more() -> None:
    authority = Authority()
    authority.append(approval_leaf())
    authority.release(decision=changed(approvals=(WAIVER,)), outcome=changed(status="failed", reason="stale"))
    authority.release(decision=changed(approvals=(WAIVER,)))
    assert verify(Source(authority), authority.trust_document()).leaves["decision"] == 2
    authority.release(decision=changed(approvals=(WAIVER,)))
    with pytest.raises(CheckFailed) as refused:
        verify(Source(authority), authority.trust_document())
    assert refused.value.code == "approval-not-in-force"
