# SPDX-License-Identifier: Apache-2.0
"""The catalogue of leaf kinds."""

from __future__ import annotations

from docs.pages.source import Record, records, table

FILES = ("signer/ledger/leaves.py", "signer/ledger/approval_leaves.py")

HEAD = """\
# Leaves

What the ledger can say. A leaf is one canonical JSON object (RFC 8785) of at most 4 KiB; its hash is the RFC 6962 leaf
hash of exactly these bytes. It names documents by sha256; their bytes stand in the same transaction and are served by
digest. `kind` tells leaves apart, `v` is the version of that kind, `time` the instant it speaks of (RFC 3339, UTC,
microseconds). People stand as random pseudonyms. Order comes from the index, never from `time`.
"""


def render() -> str:
    """The whole page."""
    every = _every()
    leaves = [record for record in every.values() if "tag" in record.keywords]
    parts = [record for record in every.values() if "tag" not in record.keywords and not record.name.startswith("_")]
    sections = [HEAD]
    for record in leaves:
        sections.append(f"## {record.keywords['tag']}\n\n{record.text}\n")
        sections.append(_fields(record.name))
    sections.append("## Parts of leaves\n")
    for record in parts:
        sections.append(f"### {record.name}\n\n{record.text}\n")
        sections.append(_fields(record.name))
    return "\n".join(sections)


def _every() -> dict[str, Record]:
    return {name: record for path in FILES for name, record in records(path).items() if name != "BaseLeaf"}


def _fields(name: str) -> str:
    record = _every()[name]
    return table(
        ("field", "type", "meaning"),
        [(f"`{field.name}`", f"`{field.annotation}`", field.text) for field in record.fields],
    )
