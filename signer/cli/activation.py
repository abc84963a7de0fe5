# SPDX-License-Identifier: Apache-2.0
"""Documents in force: brought with the owners' signatures, and shown byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from policy.document import SOON
from policy.wording import moment
from signer.cli.operator import activate_document
from signer.cli.options import client_of, read_file, settings_of, write_file
from signer.cli.output import Result, clean, colour
from signer.client.http import answer_malformed
from signer.client.request import activation_request
from signer.errors import Malformed, Refused
from signer.formats.canonical import sha256_hex
from signer.formats.owner_act import MAX_ACT
from signer.formats.rfc3339 import parse_time
from signer.formats.strict_base64 import decode_base64

Sort = Literal["policy", "shadow", "access"]


def put_in_force(
    sort: Sort,
    data: bytes,
    *,
    stated: tuple[str, int],
    signatures: Sequence[Path],
    config: str | None,
    flags: Mapping[str, str | None],
    acknowledge: Sequence[str] = (),
) -> Result:
    """Bring a document with its owners' signatures over HTTPS, or over the admin socket of this machine."""
    settings = settings_of(config=config, **flags)
    envelopes = tuple(read_file(path, limit=MAX_ACT) for path in signatures)
    local = config or (settings.get("config") if settings.get("url") is None else None)
    name, version = stated
    digest = sha256_hex(data)
    if local is None:
        request = activation_request(
            document=data, signatures=envelopes, shadow=sort == "shadow", acknowledge=acknowledge
        )
        answer = client_of(settings).activate(sort, request)
        leaf: Any = answer.get("leaf")
        if type(leaf) is not int or answer.get("digest") != digest:
            raise answer_malformed(Malformed("malformed-json", "the answer does not name the leaf of this document"))
    else:
        leaf = activate_document(
            Path(local), document=sort, data=data, signatures=envelopes, acknowledged=tuple(acknowledge)
        )
    return Result(
        name="activated",
        members={"leaf": leaf, "name": name, "version": version, "digest": digest},
        story=f"{_placed(sort, name, version)}: leaf {leaf}\n  sha256:{digest}",
    )


def _placed(sort: Sort, name: str, version: int) -> str:
    if sort == "shadow":
        return f"{colour('SHADOW', 'yellow')}  policy {name} v{version} is judged beside the one in force"
    return f"{colour('ACTIVE', 'green')}  {sort} {name} v{version} is in force"


def listed(answer: Mapping[str, Any], member: str) -> list[Mapping[str, Any]]:
    """The documents that an answer lists."""
    return [each for each in answer.get(member, ()) if isinstance(each, Mapping)]


def row(document: Mapping[str, Any]) -> str:
    """One document in force as a line."""
    cells = [f"{document.get(name, '')}" for name in ("name", "digest", "leaf")]
    line = clean(f"{cells[0]} v{document.get('version', '')}  sha256:{cells[1]}  leaf {cells[2]}")
    end = _end(document)
    if end is None:
        return line
    now = datetime.now(UTC)
    told = f"expire{'d' if now >= end else 's'} {moment(end)}"
    return f"{line}  {colour(told, 'red' if now >= end else 'yellow') if now + SOON >= end else told}"


def _end(document: Mapping[str, Any]) -> datetime | None:
    text = document.get("expires")
    try:
        return None if not isinstance(text, str) else parse_time(text, what="expires", code="malformed-json")
    except Malformed as fault:
        raise answer_malformed(fault) from None


def shown(documents: Sequence[Mapping[str, Any]], *, what: str, out: Path | None) -> Result:
    """The one document that was asked for, byte for byte; raises Refused when there is none."""
    if not documents:
        raise Refused("not-found", f"{what} is not in force, or out of this caller's reach")
    document = documents[0]
    content = document.get("content")
    if not isinstance(content, str):
        raise answer_malformed(Malformed("malformed-json", "the answer holds no content"))
    data = decode_base64(content, what="document")
    if sha256_hex(data) != document.get("digest"):
        raise answer_malformed(Malformed("malformed-json", "the content is not what the digest names"))
    if out is not None:
        write_file(out, data)
    return Result(
        name="shown",
        members={"document": dict(document)},
        raw=data if out is None else None,
        story=row(document) if out is None else f"{row(document)}\n  in {out}",
    )
