# SPDX-License-Identifier: Apache-2.0
"""Tables of the ledger database.

Kept for ever: `head`, `leaf`, `document`, `subtree`, `checkpoint`, `pack`. Every other table is a projection: a
fold over the leaves and their documents, which `signer.ledger.projections.rebuild` can make again at any time.

Digests are lower-case hexadecimal; subject digests carry their algorithm, `sha256:9c56…`; times are RFC 3339 in
UTC with microseconds, so that their text order is their time order. Interior nodes of the tree are not stored,
but for the roots of full subtrees of 256^level leaves (level >= 1), which are the hashes of the tiles above.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

REVISION = "0007"
"""The migration that makes these tables."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite keeps a table in the order of a plain INTEGER key; elsewhere leaf indices are 64 bits wide.
_INDEX = BigInteger().with_variant(Integer, "sqlite")

head = Table(
    "head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("edge", LargeBinary, nullable=False),
    Column("root", LargeBinary, nullable=False),
)
leaf = Table(
    "leaf",
    metadata,
    Column("idx", _INDEX, primary_key=True, autoincrement=False),
    # Before the body, so that reading a tile of hashes never follows a long body.
    Column("hash", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
document = Table(
    "document",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
subtree = Table(
    "subtree",
    metadata,
    Column("level", SmallInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("level", "n"),
    sqlite_with_rowid=False,
)
checkpoint = Table(
    "checkpoint",
    metadata,
    Column("size", _INDEX, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)


def _leaf_key(name: str = "leaf") -> Column[int]:
    return Column(name, _INDEX, ForeignKey("leaf.idx"), primary_key=True, autoincrement=False)


decision = Table(
    "decision",
    metadata,
    _leaf_key(),
    Column("request", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("policy_version", BigInteger, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("access", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("subjects", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("findings", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("first", Text, nullable=False),
    Column("count", Integer, nullable=False),
    UniqueConstraint("request"),
    Index(None, "principal", "leaf"),
    Index(None, "verdict", "leaf"),
    Index(None, "environment", "leaf"),
    Index(None, "policy", "leaf"),
    Index(None, "time"),
)
decision_subject = Table(
    "decision_subject",
    metadata,
    Column("digest", Text, nullable=False),
    Column("leaf", _INDEX, ForeignKey("decision.leaf"), nullable=False),
    PrimaryKeyConstraint("digest", "leaf"),
    sqlite_with_rowid=False,
)
decision_source = Table(
    "decision_source",
    metadata,
    Column("leaf", _INDEX, ForeignKey("decision.leaf"), nullable=False),
    Column("repository", Text, nullable=False),
    Column("commit", Text, nullable=False),
    PrimaryKeyConstraint("leaf", "repository", "commit"),
    Index(None, "repository", "leaf"),
    Index(None, "commit", "leaf"),
    sqlite_with_rowid=False,
)
outcome = Table(
    "outcome",
    metadata,
    # One outcome per decision, by the key.
    Column("decision", _INDEX, ForeignKey("decision.leaf"), primary_key=True, autoincrement=False),
    Column("leaf", _INDEX, ForeignKey("leaf.idx"), nullable=False),
    Column("request", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
open_decision = Table(
    "open_decision",
    metadata,
    Column("decision", _INDEX, ForeignKey("decision.leaf"), primary_key=True, autoincrement=False),
)
idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("decision", _INDEX, ForeignKey("decision.leaf"), nullable=False),
    PrimaryKeyConstraint("principal", "key"),
    sqlite_with_rowid=False,
)
evidence = Table(
    "evidence",
    metadata,
    # Names a document, or a file of the store (signer/ledger/store.py).
    Column("digest", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("leaf", _INDEX, ForeignKey("leaf.idx"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("principal", Text, nullable=False),
    Column("policy", Text, nullable=False),
)
evidence_subject = Table(
    "evidence_subject",
    metadata,
    Column("digest", Text, ForeignKey("evidence.digest"), nullable=False),
    Column("subject", Text, nullable=False),
    PrimaryKeyConstraint("digest", "subject"),
    Index(None, "subject"),
    sqlite_with_rowid=False,
)
activation = Table(
    "activation",
    metadata,
    _leaf_key(),
    Column("document", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("digest", Text, ForeignKey("document.digest"), nullable=False),
    Column("principal", Text, nullable=False),
    Column("time", Text, nullable=False),
    UniqueConstraint("document", "name", "version"),
)
trust = Table(
    "trust",
    metadata,
    _leaf_key(),
    Column("version", BigInteger, nullable=False),
    Column("digest", Text, ForeignKey("document.digest"), nullable=False),
    Column("principal", Text, nullable=False),
    Column("time", Text, nullable=False),
    UniqueConstraint("version"),
)
key_event = Table(
    "key_event",
    metadata,
    _leaf_key(),
    Column("event", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kid", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("algorithm", Text, nullable=False),
    Column("spki", LargeBinary, nullable=False),
    Column("principal", Text, nullable=False),
    Column("time", Text, nullable=False),
    # Empty for events that stood before migration 0003.
    Column("succeeds", Text, nullable=False, server_default=""),
    Column("since", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
)
key_use = Table(
    "key_use",
    metadata,
    Column("kid", Text, primary_key=True),
    # Every attempt counts, also one whose signature nobody saw.
    Column("attempts", BigInteger, nullable=False),
)
waiver = Table(
    "waiver",
    metadata,
    _leaf_key(),
    Column("digest", Text, ForeignKey("document.digest"), nullable=False),
    Column("envelope", Text, ForeignKey("document.digest"), nullable=False),
    Column("policy", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("approver", Text, nullable=False),
    Column("renewal", Integer, nullable=False),
    Column("principal", Text, nullable=False),
    Column("time", Text, nullable=False),
    UniqueConstraint("digest"),
)
waiver_end = Table(
    "waiver_end",
    metadata,
    Column("waiver", Text, ForeignKey("waiver.digest"), primary_key=True),
    Column("leaf", _INDEX, ForeignKey("leaf.idx"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("time", Text, nullable=False),
)
waiver_use = Table(
    "waiver_use",
    metadata,
    Column("waiver", Text, ForeignKey("waiver.digest"), nullable=False),
    Column("decision", _INDEX, ForeignKey("decision.leaf"), nullable=False),
    PrimaryKeyConstraint("waiver", "decision"),
    sqlite_with_rowid=False,
)
hold = Table(
    "hold",
    metadata,
    Column("leaf", _INDEX, ForeignKey("decision.leaf"), primary_key=True, autoincrement=False),
    Column("sha256", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("cited", Text, nullable=False),
    Column("answers", Text, nullable=False),
    Index(None, "sha256", "environment", "policy", "leaf"),
)
approval = Table(
    "approval",
    metadata,
    _leaf_key(),
    Column("verb", Text, nullable=False),
    Column("digest", Text, ForeignKey("document.digest"), nullable=False),
    Column("envelope", Text, nullable=False),  # empty when no key signed it, as is the next
    Column("kid", Text, nullable=False),
    Column("hold", _INDEX, ForeignKey("hold.leaf"), nullable=False),
    Column("person", Text, nullable=False),
    Column("groups", Text, nullable=False),  # names, separated by blanks
    Column("answers", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("principal", Text, nullable=False),
    UniqueConstraint("digest"),
    Index(None, "hold"),
)
approval_revocation = Table(
    "approval_revocation",
    metadata,
    Column("approval", Text, ForeignKey("approval.digest"), primary_key=True),
    Column("leaf", _INDEX, ForeignKey("leaf.idx"), nullable=False),
    Column("envelope", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("time", Text, nullable=False),
)
approval_use = Table(
    "approval_use",
    metadata,
    Column("approval", Text, ForeignKey("approval.digest"), nullable=False),
    Column("decision", _INDEX, ForeignKey("decision.leaf"), nullable=False),
    PrimaryKeyConstraint("approval", "decision"),
    sqlite_with_rowid=False,
)
halt = Table(
    "halt",
    metadata,
    _leaf_key(),
    Column("reason", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("resumed", _INDEX, ForeignKey("leaf.idx")),
)
shadow = Table(
    "shadow",
    metadata,
    Column("digest", Text, nullable=False),  # of the policy in shadow, or of the one that has the rule in shadow
    Column("rule", Text, nullable=False),  # empty for the whole policy
    Column("decision", _INDEX, ForeignKey("decision.leaf"), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("flip", Text, nullable=False),
    PrimaryKeyConstraint("digest", "rule", "decision"),
    Index(None, "decision"),
    sqlite_with_rowid=False,
)

deployment = Table(
    "deployment",
    metadata,
    _leaf_key(),
    Column("id", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("sha256", Text, nullable=False),  # empty when the deployment named a tag alone
    Column("name", Text, nullable=False),  # of the reference, without its tag
    Column("time", Text, nullable=False),
    UniqueConstraint("id"),
    Index(None, "sha256"),
    Index(None, "name"),
)
evidence_name = Table(
    "evidence_name",
    metadata,
    Column("name", Text, nullable=False),  # of what a scan or an approval given elsewhere speaks of, without its tag
    Column("digest", Text, ForeignKey("evidence.digest"), nullable=False),
    PrimaryKeyConstraint("name", "digest"),
    sqlite_with_rowid=False,
)
pack = Table(
    "pack",
    metadata,
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("manifest", LargeBinary, nullable=False),
    PrimaryKeyConstraint("sha256", "size"),
)
revocation = Table(
    "revocation",
    metadata,
    _leaf_key(),
    Column("sha256", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("time", Text, nullable=False),
    Index(None, "sha256"),
)

PROJECTIONS = (
    evidence_name,
    revocation,
    deployment,
    shadow,
    halt,
    approval_use,
    approval_revocation,
    approval,
    hold,
    waiver_use,
    waiver_end,
    waiver,
    key_use,
    key_event,
    trust,
    activation,
    evidence_subject,
    evidence,
    idempotency,
    open_decision,
    outcome,
    decision_source,
    decision_subject,
    decision,
)
"""In the order in which they can be emptied."""
