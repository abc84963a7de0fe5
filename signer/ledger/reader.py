# SPDX-License-Identifier: Apache-2.0
"""Answers questions about the ledger: each one bounded and found through an index.

Leaves and documents are hashed again whenever they are read. A reader writes nothing; web opens it on a read-only
engine. Each statement sees one committed state, and what several statements combine never changes once written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, Select, select
from sqlalchemy.engine.interfaces import DBAPICursor

from signer.db import tables
from signer.db.engine import database_errors, describe_fault, schema_revision
from signer.db.statements import Connections, Row, Statement
from signer.errors import Malformed, Misconfigured, Unavailable
from signer.formats.canonical import sha256_hex
from signer.formats.rfc3339 import format_time, parse_time
from signer.formats.trust import encode_trust_file
from signer.ledger.documents import StoredDocument
from signer.ledger.leaves import DeploymentLeaf, Outcome, PolicyRef, Trust, decode_leaf
from signer.ledger.queries import SEVERAL, Queries
from signer.ledger.rows import (
    ActiveDocument,
    ApprovalRevocationRow,
    ApprovalRow,
    CheckpointRow,
    DecisionRow,
    DeployedRow,
    DeploymentRow,
    HaltRow,
    HeadRow,
    HoldRow,
    IndexedEvidence,
    KeyRow,
    OutcomeRow,
    ReplayRow,
    RevocationRow,
    ShadowCount,
    ShadowRow,
    SignedRow,
    TrustRow,
    UseRow,
    WaiverEndRow,
    WaiverRow,
)
from signer.ledger.stored_tree import StoredTree
from signer.tlog.merkle import Edge, leaf_hash
from signer.tlog.strict import HASH_BYTES
from signer.tlog.tiles import WIDTH, encode_entries, tile_width

MAX_LEAVES = 1024
MAX_DECISIONS = 200
MAX_HOLDS = 200
PAGE = 32
MAX_EVIDENCE = 10_000
"""A judge sees all evidence of a subject or none: more than this is refused, never cut off."""


def open_reader(engine: Engine) -> Reader:
    """A reader over a ledger of this version's schema; raises Misconfigured for any other."""
    found = schema_revision(engine)
    if found != tables.REVISION:
        raise Misconfigured(
            "ledger-schema",
            f"the database is at revision {found}, this version reads {tables.REVISION}",
            remedy="start the custodian of this version first: it brings the schema up to date",
        )
    return Reader(engine)


class Reader:
    """Queries over one engine; safe in any number of threads. Raises Unavailable when the database fails."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connections = Connections(engine)
        self._tree = StoredTree(engine)
        self._queries = Queries(engine)

    def together(self) -> AbstractContextManager[None]:
        """All reads of this thread inside go over one connection; each of them still sees what is committed then."""
        return self._connections.together()

    # The tree

    def head(self) -> HeadRow:
        """The committed size and root; size 0 before genesis."""
        edge = self.edge()
        return HeadRow(edge.size, edge.root())

    def edge(self) -> Edge:
        """The complete subtrees of the committed tree; raises Misconfigured when the head row contradicts itself."""
        row = self._one(self._queries.head)
        if row is None:
            return Edge(0, ())
        size, packed, root = row
        hashes = tuple(packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES))
        try:
            edge = Edge(size, hashes)
        except ValueError as fault:
            raise _damaged(f"the head does not fit its size: {fault}") from None
        if edge.root() != root:
            raise _damaged("the edge of the head does not fold to its root")
        return edge

    def stored_edge(self, size: int) -> Edge:
        """The edge of the tree of `size` as the stored hashes make it, without the head row."""
        return self._tree.edge(size)

    def leaf(self, index: int) -> bytes:
        """The bytes of one leaf; raises Malformed when there is none."""
        row = self._one(self._queries.leaf, index)
        if row is None:
            raise Malformed("not-found", f"the ledger has no leaf {index}")
        return _checked_leaf(index, *row)

    def leaves(self, start: int, stop: int) -> tuple[bytes, ...]:
        """The bytes of the leaves start … stop-1, as far as they exist; at most 1024 of them."""
        _require_range(start, stop)
        rows = self._all(self._queries.leaves, start, stop)
        if [row[0] for row in rows] != list(range(start, start + len(rows))):
            raise _damaged(f"leaves are missing between {start} and {stop}")
        return tuple(_checked_leaf(*row) for row in rows)

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """The proof of leaf `index` in the tree of `size`; raises Malformed outside the tree."""
        return self._tree.inclusion(index, size, head=self.edge())

    def consistency(self, old: int, size: int) -> tuple[bytes, ...]:
        """The proof that the tree of `size` extends the tree of `old`; raises Malformed outside the tree."""
        return self._tree.consistency(old, size, head=self.edge())

    def hash_tile(self, level: int, n: int, width: int) -> bytes:
        """The first `width` hashes of a tile; raises Malformed where the tree has fewer."""
        hashes = self._tree.tile(level, n, width) if 0 < width <= WIDTH else ()
        if len(hashes) != width or not hashes:
            raise Malformed("not-found", "the ledger has no such tile")
        return b"".join(hashes)

    def entry_bundle(self, n: int, width: int) -> bytes:
        """The first `width` entries of a bundle; raises Malformed where the tree has fewer."""
        entries = self.leaves(n * WIDTH, n * WIDTH + width) if 0 < width <= WIDTH and n >= 0 else ()
        if len(entries) != width or not entries:
            raise Malformed("not-found", f"the ledger holds {len(entries)} of {width} entries from leaf {n * WIDTH}")
        return encode_entries(entries)

    def tile_width(self, level: int, n: int) -> int:
        """How wide a tile is in the committed tree: 0 when there is none."""
        return tile_width(self.edge().size, level=level, n=n)

    def checkpoint_covering(self, leaf: int) -> CheckpointRow | None:
        """The first checkpoint whose tree holds this leaf: always the same one for the same leaf."""
        row = self._one(self._queries.covering, leaf)
        return None if row is None else CheckpointRow(*row)

    def latest_checkpoint(self) -> CheckpointRow | None:
        """The newest checkpoint that is committed."""
        row = self._one(self._queries.latest)
        return None if row is None else CheckpointRow(*row)

    # Documents

    def document(self, digest: str) -> StoredDocument | None:
        """A document by its sha256."""
        row = self._one(self._queries.document, digest)
        return None if row is None else StoredDocument(digest, row[0], _checked_document(digest, row[1]))

    def contents(self, digests: Sequence[str]) -> dict[str, bytes]:
        """The bytes of documents that leaves name, by their sha256; raises Misconfigured when one is missing."""
        found: dict[str, bytes] = {}
        with self._connections.reading() as cursor:
            for digest in digests:
                row = self._queries.document.run(cursor, digest).fetchone()
                if row is None:
                    raise _damaged(f"the document {digest} that a leaf names is missing")
                found[digest] = _checked_document(digest, row[1])
        return found

    def active(self, document: str, name: str) -> ActiveDocument | None:
        """The `policy` or `access` document of this name that is in force."""
        row = self._one(self._queries.active, document, name)
        return None if row is None else _active(row)

    def active_all(self, document: str) -> tuple[ActiveDocument, ...]:
        """All documents of this sort that are in force, by name."""
        return tuple(_active(row) for row in self._all(self._queries.active_all, document))

    def trust(self) -> TrustRow | None:
        """The trust file in force."""
        row = self._one(self._queries.trust)
        if row is None:
            return None
        index, body, data = row
        leaf = decode_leaf(body)
        assert isinstance(leaf, Trust)
        envelopes = self.contents(leaf.signatures)
        file = encode_trust_file(_checked_document(leaf.digest, data), [envelopes[each] for each in leaf.signatures])
        return TrustRow(leaf.version, leaf.digest, file, index)

    # Evidence

    def evidence(self, digest: str) -> IndexedEvidence | None:
        """Kept evidence by the sha256 of its bytes."""
        with self._connections.reading() as cursor:
            row = self._queries.evidence.run(cursor, digest).fetchone()
            return None if row is None else self._indexed(cursor, row)

    def evidence_for(self, subject_digests: Sequence[str]) -> tuple[IndexedEvidence, ...]:
        """All kept evidence about any of these subjects (`sha256:…`, `gitCommit:…`, `gitTree:…`), in receipt order.

        Raises Malformed (too-much-evidence) beyond 10,000 items: a cut list could hide the one that denies.
        """
        rows: dict[str, Row] = {}
        with self._connections.reading() as cursor:
            for found in self._evidence_rows(cursor, tuple(dict.fromkeys(subject_digests))):
                rows.update((row[0], row) for row in found)
                if len(rows) > MAX_EVIDENCE:
                    raise Malformed(
                        "too-much-evidence",
                        f"more than {MAX_EVIDENCE} pieces of evidence are kept about these subjects",
                        remedy="ask for fewer subjects at once",
                    )
            indexed = [self._indexed(cursor, row) for row in rows.values()]
        return tuple(sorted(indexed, key=lambda each: (each.leaf, each.position)))

    def _evidence_rows(self, cursor: DBAPICursor, subjects: tuple[str, ...]) -> Iterator[Sequence[Row]]:
        """Rows about one subject, or about many, of which each statement takes several."""
        if len(subjects) == 1:
            yield self._queries.evidence_of.run(cursor, *subjects).fetchall()
            return
        for start in range(0, len(subjects), SEVERAL):
            some = subjects[start : start + SEVERAL]
            padded = (*some, *some[-1:] * (SEVERAL - len(some)))
            yield self._queries.evidence_of_several.run(cursor, *padded).fetchall()

    def _indexed(self, cursor: DBAPICursor, row: Row) -> IndexedEvidence:
        digest, media_type, kind, size, leaf, position, principal, policy = row
        subjects = tuple(each[0] for each in self._queries.evidence_subjects.run(cursor, digest).fetchall())
        return IndexedEvidence(digest, media_type, kind, size, leaf, position, principal, policy, subjects)

    def evidence_named(self, name: str) -> tuple[str, ...]:
        """Digests of scans, and of approvals given elsewhere, that speak of an artifact by this name."""
        return tuple(row[0] for row in self._all(self._queries.evidence_named, name))

    def activation_leaf(self, digest: str) -> int | None:
        """The leaf that first put the policy or access document with this sha256 in force."""
        row = self._one(self._queries.activation_leaf, digest)
        return None if row is None else row[0]

    def access_leaves(self) -> tuple[int, ...]:
        """The leaves that put access documents in force, oldest first."""
        activation = tables.activation.c
        query = select(activation.leaf).where(activation.document == "access").order_by(activation.leaf)
        return tuple(row[0] for row in self._rows(query))

    def trust_leaf(self, before: int) -> int | None:
        """The leaf of the trust file that was in force in the tree of this size."""
        row = self._one(self._queries.trust_leaf, before)
        return None if row is None else row[0]

    # Decisions and outcomes

    def decision(self, request_id: str) -> DecisionRow | None:
        """The decision of one request."""
        row = self._one(self._queries.decision, request_id)
        return None if row is None else _decision(row)

    def decision_at(self, leaf: int) -> DecisionRow | None:
        """The decision that stands at one leaf."""
        row = self._one(self._queries.decision_at, leaf)
        return None if row is None else _decision(row)

    def decisions(
        self,
        *,
        digest: str | None = None,
        repository: str | None = None,
        commit: str | None = None,
        principal: str | None = None,
        verdict: str | None = None,
        environment: str | None = None,
        policy: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[DecisionRow, ...]:
        """Decisions that match every filter, newest first, at most 200.

        `digest` is `algorithm:hex`; `since` is inclusive, `until` exclusive; `before` is the leaf index of the last
        row of the page before.
        """
        decision, subject, source = tables.decision, tables.decision_subject, tables.decision_source
        # By subject, the pages of its index are already in the order of the answer.
        place = decision.c.leaf if digest is None else subject.c.leaf
        query = select(decision).order_by(place.desc()).limit(max(1, min(limit, MAX_DECISIONS)))
        if digest is not None:
            query = query.join(subject, subject.c.leaf == decision.c.leaf).where(subject.c.digest == digest)
        equal = {"principal": principal, "verdict": verdict, "environment": environment, "policy": policy}
        for name, value in equal.items():
            if value is not None:
                query = query.where(decision.c[name] == value)
        if repository is not None or commit is not None:
            sources = select(source.c.leaf)
            sources = sources if repository is None else sources.where(source.c.repository == repository)
            sources = sources if commit is None else sources.where(source.c.commit == commit)
            query = query.where(place.in_(sources))
        if since is not None:
            query = query.where(decision.c.time >= format_time(since))
        if until is not None:
            query = query.where(decision.c.time < format_time(until))
        if before is not None:
            query = query.where(place < before)
        return self._decisions(query)

    def _decisions(self, query: Select[Any]) -> tuple[DecisionRow, ...]:
        return tuple(map(_decision, self._rows(query)))

    def _rows(self, query: Select[Any]) -> tuple[Row, ...]:
        try:
            with self._engine.connect() as connection:
                return tuple(tuple(row) for row in connection.execute(query))
        except database_errors(self._engine) as fault:
            raise Unavailable("ledger-unavailable", f"the ledger database failed: {describe_fault(fault)}") from fault

    def decisions_after(self, policy: str, leaf: int) -> tuple[DecisionRow, ...]:
        """The decisions of one policy that stand after `leaf`, oldest first, a page of them."""
        decision = tables.decision.c
        query = select(tables.decision).where(decision.policy == policy, decision.leaf > leaf).order_by(decision.leaf)
        return self._decisions(query.limit(PAGE))

    def last_shadowed(self, digest: str) -> int | None:
        """The last decision leaf that the policy in shadow with this digest was judged on."""
        row = self._one(self._queries.last_shadowed, digest)
        return None if row is None else row[0]

    def shadow_counts(self, digest: str) -> tuple[ShadowCount, ...]:
        """What was recorded of a policy in shadow, or of a policy's rules in shadow, by how it would have ended."""
        rows = self._all(self._queries.shadow_counts, digest)
        return tuple(
            ShadowCount(rule, outcome, flip, count, parse_time(since, what="time of a decision"))
            for rule, outcome, flip, count, since in rows
        )

    def shadow_of(self, decision: int) -> tuple[ShadowRow, ...]:
        """What rules and policies in shadow would have said of one decision."""
        return tuple(ShadowRow(*row) for row in self._all(self._queries.shadow_of, decision))

    def open_decisions(self, *, limit: int = MAX_LEAVES) -> tuple[DecisionRow, ...]:
        """Allowed decisions without an outcome, oldest first: signing, or orphans of a crash."""
        with self._connections.reading() as cursor:
            return tuple(_decision(tuple(row)) for row in self._queries.open.run(cursor).fetchmany(limit))

    def outcome(self, decision_leaf: int) -> OutcomeRow | None:
        """How the signing of one allowed decision ended; None while it is open."""
        row = self._one(self._queries.outcome, decision_leaf)
        if row is None:
            return None
        index, stored_hash, body = row
        leaf = decode_leaf(_checked_leaf(index, stored_hash, body))
        assert isinstance(leaf, Outcome)
        time = parse_time(leaf.time, what="time of the outcome")
        return OutcomeRow(index, leaf.decision, leaf.request, time, leaf.status, leaf.reason, leaf.signatures)

    def first_signed(self, policy: str, sha256s: Sequence[str]) -> tuple[SignedRow, ...]:
        """For each digest and each environment the first decision under a policy of this name that was signed."""
        found: list[SignedRow] = []
        with self._connections.reading() as cursor:
            for sha256 in sha256s:
                for environment, time, hashed in self._queries.first_signed.run(
                    cursor, f"sha256:{sha256}", policy, "signed"
                ).fetchall():
                    when = parse_time(time, what="time of the decision")
                    found.append(SignedRow(sha256, environment, when, hashed))
        return tuple(found)

    def concluded(self, request_id: str) -> tuple[tuple[int, bytes], tuple[int, bytes]] | None:
        """Index and bytes of a request's decision leaf and of its outcome leaf; None without an outcome."""
        row = self._one(self._queries.concluded, request_id)
        if row is None:
            return None
        decision, outcome = row[:3], row[3:]
        return (decision[0], _checked_leaf(*decision)), (outcome[0], _checked_leaf(*outcome))

    def replay(self, principal: str, key_digest: str) -> ReplayRow | None:
        """What this principal last asked under an Idempotency-Key with this sha256."""
        row = self._one(self._queries.replay, principal, key_digest)
        return None if row is None else ReplayRow(*row)

    # Waivers

    def waivers(self) -> tuple[WaiverRow, ...]:
        """Every recorded waiver, oldest first; ended ones as well."""
        return tuple(map(_waiver, self._all(self._queries.waivers)))

    def waiver_uses(self, digest: str) -> tuple[UseRow, ...]:
        """Every ALLOW that rests on a waiver, oldest first."""
        return tuple(UseRow(*row) for row in self._all(self._queries.waiver_uses, digest))

    # Holds and approvals

    def hold(self, request_id: str) -> HoldRow | None:
        """The hold that one request was answered with."""
        row = self._one(self._queries.hold, request_id)
        return None if row is None else _hold(row)

    def newest_hold(self, policy: str, environment: str, sha256: str) -> HoldRow | None:
        """The last hold of a digest for an environment, under a policy of this name."""
        row = self._one(self._queries.newest_hold, sha256, environment, policy)
        return None if row is None else _hold(row)

    def holds(
        self,
        *,
        sha256: str | None = None,
        environment: str | None = None,
        policy: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[HoldRow, ...]:
        """Holds that match every filter, the newest first, at most 200; closed and superseded ones as well."""
        query, hold = self._queries.hold_rows.limit(max(1, min(limit, MAX_HOLDS))), tables.hold.c
        for name, value in (("sha256", sha256), ("environment", environment), ("policy", policy)):
            if value is not None:
                query = query.where(hold[name] == value)
        if before is not None:
            query = query.where(hold.leaf < before)
        return tuple(map(_hold, self._rows(query)))

    def approvals_of(self, hold: int) -> tuple[ApprovalRow, ...]:
        """What people said of the hold at a leaf, oldest first; revoked as well."""
        return tuple(map(_approval, self._all(self._queries.approvals_of, hold)))

    def approval(self, digest: str) -> ApprovalRow | None:
        """One approval by the digest of its statement."""
        row = self._one(self._queries.approval, digest)
        return None if row is None else _approval(row)

    def approval_uses(self, digest: str) -> tuple[UseRow, ...]:
        """Every ALLOW that rests on an approval, oldest first."""
        return tuple(UseRow(*row) for row in self._all(self._queries.approval_uses, digest))

    # Deployments and revocations

    def deployment(self, identifier: str) -> int | None:
        """The leaf of the deployment with this id."""
        row = self._one(self._queries.deployment, identifier)
        return None if row is None else row[0]

    def deployments(
        self,
        *,
        digest: str | None = None,
        name: str | None = None,
        policy: str | None = None,
        environment: str | None = None,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[DeploymentRow, ...]:
        """Recorded deployments that match every filter, newest first, at most 200; `name` has no tag."""
        table = tables.deployment
        query = select(table.c.leaf).order_by(table.c.leaf.desc()).limit(max(1, min(limit, MAX_DECISIONS)))
        equal = {"sha256": digest, "name": name, "policy": policy, "environment": environment}
        for column, value in equal.items():
            if value is not None:
                query = query.where(table.c[column] == value)
        if since is not None:
            query = query.where(table.c.time >= format_time(since))
        if before is not None:
            query = query.where(table.c.leaf < before)
        found: list[DeploymentRow] = []
        for row in self._rows(query):
            leaf = decode_leaf(self.leaf(row[0]))
            assert isinstance(leaf, DeploymentLeaf)
            found.append(DeploymentRow(row[0], leaf))
        return tuple(found)

    def first_deployed(self, policy: str, sha256s: Sequence[str]) -> tuple[DeployedRow, ...]:
        """For each digest and each environment the first deployment that was recorded under this policy."""
        found: list[DeployedRow] = []
        for sha256 in sha256s:
            for environment, time, hashed in self._all(self._queries.first_deployed, sha256, policy):
                when = parse_time(time, what="time of the deployment")
                found.append(DeployedRow(sha256, environment, when, hashed))
        return tuple(found)

    def revocations(self) -> tuple[RevocationRow, ...]:
        """Every release that was taken back, in the order of the leaves."""
        return tuple(
            RevocationRow(
                leaf, sha256, policy, environment, reason, principal, parse_time(time, what="time of the revocation")
            )
            for leaf, sha256, policy, environment, reason, principal, time in self._all(self._queries.revocations)
        )

    def repositories(self, policy: str, sha256: str) -> tuple[str, ...]:
        """The repositories that decisions about this digest under this policy name; "" where one names none."""
        return tuple(row[0] for row in self._all(self._queries.repositories, policy, f"sha256:{sha256}"))

    # Keys and halts

    def keys(self) -> tuple[KeyRow, ...]:
        """Every key event, oldest first."""
        return tuple(_key(row) for row in self._all(self._queries.keys))

    def key_use(self) -> dict[str, int]:
        """How often each key was called, by its key id; keys that never were are not in it."""
        return dict(tuple(row) for row in self._all(self._queries.key_use))

    def halted(self) -> HaltRow | None:
        """The newest halt that is not resumed; None while signing is allowed."""
        row = self._one(self._queries.halted)
        if row is None:
            return None
        leaf, reason, principal, time, _ = row
        return HaltRow(leaf, reason, principal, parse_time(time, what="time of the halt"))

    def _one(self, statement: Statement, *values: object) -> Row | None:
        with self._connections.reading() as cursor:
            row: Row | None = statement.run(cursor, *values).fetchone()
            return row

    def _all(self, statement: Statement, *values: object) -> Sequence[Row]:
        with self._connections.reading() as cursor:
            rows: Sequence[Row] = statement.run(cursor, *values).fetchall()
            return rows


def _decision(row: Row) -> DecisionRow:
    leaf, request, time, principal, name, version, digest, *rest = row
    when = parse_time(time, what="time of the decision")
    policy = PolicyRef(name=name, version=version, digest=digest)
    return DecisionRow(leaf, request, when, principal, policy, *rest)


def _key(row: Row) -> KeyRow:
    leaf, event, name, kid, purpose, algorithm, spki, principal, time, succeeds, since, reason = row
    when = parse_time(time, what="time of the key")
    lost = parse_time(since, what="since of the key") if since else None
    return KeyRow(leaf, event, name, kid, purpose, algorithm, spki, principal, when, succeeds, lost, reason)


def _active(row: Row) -> ActiveDocument:
    leaf, _, name, version, digest, _, _, data = row
    return ActiveDocument(name, version, digest, _checked_document(digest, data), leaf)


def _waiver(row: Row) -> WaiverRow:
    index, digest, envelope, policy, environment, requester, approver, renewal, principal, time, statement = row[:11]
    end_leaf, reason, ended_by, ended = row[11:]
    end = None
    if end_leaf is not None:
        end = WaiverEndRow(end_leaf, reason, ended_by, parse_time(ended, what="time of a waiver's end"))
    return WaiverRow(
        index,
        digest,
        envelope,
        policy,
        environment,
        requester,
        approver,
        renewal,
        principal,
        parse_time(time, what="time of the waiver"),
        _checked_document(digest, statement),
        end,
    )


def _hold(row: Row) -> HoldRow:
    leaf, request, time, principal, sha256, environment, policy, policy_digest, cited, answers, *after = row
    when = parse_time(time, what="time of the hold")
    closed, superseded = map(bool, after)
    held = (sha256, environment, policy, policy_digest, cited, answers)
    return HoldRow(leaf, request, when, principal, *held, closed, superseded)


def _approval(row: Row) -> ApprovalRow:
    leaf, verb, digest, envelope, kid, hold, person, groups, answers, at, principal, statement = row[:12]
    revoked_leaf, reason, revoked_by, revoked = row[12:]
    revocation = None
    if revoked_leaf is not None:
        when = parse_time(revoked, what="time of the revocation")
        revocation = ApprovalRevocationRow(revoked_leaf, reason, revoked_by, when)
    return ApprovalRow(
        leaf,
        verb,
        digest,
        envelope,
        kid,
        hold,
        person,
        tuple(groups.split()),
        answers,
        parse_time(at, what="time of the approval"),
        principal,
        _checked_document(digest, statement),
        revocation,
    )


def _checked_leaf(index: int, stored_hash: object, body: object) -> bytes:
    # Whoever can write the file can also store a value of another type.
    if not isinstance(body, bytes) or leaf_hash(body) != stored_hash:
        raise _damaged(f"the bytes of leaf {index} are not those that were hashed")
    return body


def _checked_document(digest: str, data: object) -> bytes:
    if not isinstance(data, bytes) or sha256_hex(data) != digest:
        raise _damaged(f"the bytes of the document {digest} are not those that were hashed")
    return data


def _require_range(start: int, stop: int) -> None:
    if not 0 <= start <= stop <= start + MAX_LEAVES:
        raise Malformed("invalid-range", f"a range of leaves starts at 0 or later and has at most {MAX_LEAVES} leaves")


def _damaged(why: str) -> Misconfigured:
    return Misconfigured(
        "ledger-damaged",
        why,
        remedy="stop, keep the files as they are, and restore the ledger from a copy that passes `signer log verify`",
    )
