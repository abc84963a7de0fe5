# SPDX-License-Identifier: Apache-2.0
"""`signer deployment record` and `list`: what reached which environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from signer.cli.options import READABLE, client_of, connection_options, instant, read_file, settings_of
from signer.cli.output import Result, clean, mode_option
from signer.client.http import answer_malformed
from signer.domain.digest import Digest
from signer.errors import Malformed
from signer.formats.deployment import (
    DEPLOYED,
    EVENT,
    MAX_BODY,
    Deployment,
    parse_deployment,
    pinned_digest,
    require_deployment,
)
from signer.formats.rfc3339 import format_time


@click.group()
def deployment() -> None:
    """Record and list what reached which environment."""


@deployment.command()
@click.option("--policy", help="Policy that the environment belongs to.")
@click.option("--environment", help="Environment that was deployed to.")
@click.option("--reference", help="The artifact as the deployment named it: NAME:TAG, or NAME@sha256:HEX.")
@click.option("--digest", metavar="sha256:HEX", help="What was deployed, where the reference does not say.")
@click.option("--at", metavar="TIME", help="When: an RFC 3339 time, or so long ago (10m); now, if left out.")
@click.option("--approval", default="", help="The approval that the deployment rests on: a request id, or any name.")
@click.option("--from", "source", type=READABLE, help="A record that `signer gate --record-later` kept.")
@connection_options
@mode_option
def record(
    *,
    policy: str | None,
    environment: str | None,
    reference: str | None,
    digest: str | None,
    at: str | None,
    approval: str,
    source: Path | None,
    **flags: str | None,
) -> Result:
    """Record a deployment as it is, without verifying anything: its gate stays empty.

    Whatever is wrong with it, for example a tag without a digest, is recorded too, and found by `signer findings`.
    """
    now = datetime.now(UTC)
    if source is not None:
        if any(each is not None for each in (policy, environment, reference, digest, at)) or approval:
            raise click.UsageError("--from brings the whole record")
        # What a file says of a gate, nobody saw: only the gate itself records that it verified.
        told = replace(parse_deployment(read_file(source, limit=MAX_BODY)), gate=None)
    elif policy is None or environment is None or reference is None:
        raise click.UsageError("name --policy, --environment and --reference, or bring a record with --from")
    else:
        told = Deployment(
            policy=policy,
            environment=environment,
            status=DEPLOYED,
            reference=reference,
            sha256=_sha256(digest) or pinned_digest(reference),
            at=instant(at, now=now) or now,
            approval=approval,
            gate=None,
        )
        require_deployment(told)
    answer = client_of(settings_of(**flags)).record_deployment(told.body())
    leaf = answer.get("leaf")
    if type(leaf) is not int:
        raise answer_malformed(Malformed("malformed-json", "the answer names no leaf"))
    what = f"sha256:{told.sha256}" if told.sha256 else "no digest: the record does not say what runs there"
    return Result(
        name="recorded",
        members={"leaf": leaf, "id": told.id, "digest": f"sha256:{told.sha256}" if told.sha256 else None},
        story=f"RECORDED  {clean(told.reference)} -> {clean(told.environment)}: leaf {leaf}\n {what}",
    )


@deployment.command("list")
@click.option("--digest", metavar="sha256:HEX", help="Only of this digest.")
@click.option("--policy", help="Only under this policy.")
@click.option("--environment", help="Only to this environment.")
@click.option("--since", metavar="TIME", help="Only recorded since: 30d, or an RFC 3339 time.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="At most so many.")
@connection_options
@mode_option
def list_(
    *,
    digest: str | None,
    policy: str | None,
    environment: str | None,
    since: str | None,
    limit: int,
    **flags: str | None,
) -> Result:
    """List recorded deployments, the newest first; with -o json as CDEvents."""
    begin = instant(since, now=datetime.now(UTC))
    given = {
        "digest": _sha256(digest) or None,
        "policy": policy,
        "environment": environment,
        "since": None if begin is None else format_time(begin),
        "limit": str(limit),
    }
    answer = client_of(settings_of(**flags)).deployments(
        {name: value for name, value in given.items() if value is not None}
    )
    rows = [row for row in answer.get("deployments", ()) if isinstance(row, Mapping)]
    return Result(
        name="listed",
        members={"deployments": rows, "next": answer.get("next")},
        answer="\n".join(map(_row, rows)),
    )


def _sha256(text: str | None) -> str:
    if text is None:
        return ""
    digest = Digest.parse(text)
    if digest.algorithm != "sha256":
        raise Malformed("invalid-digest", "the digest is not a sha256 digest", remedy="write sha256:HEX")
    return digest.value


def _row(event: Mapping[str, Any]) -> str:
    context, told = event.get("context"), event.get("customData")
    if not isinstance(context, Mapping) or not isinstance(told, Mapping):
        raise answer_malformed(Malformed("malformed-json", "a deployment of the answer is no event"))
    gate = told.get("gate")
    verified = f"gate {gate.get('result')} {gate.get('reason')}" if isinstance(gate, Mapping) else "no gate"
    cells = (
        f"leaf {told.get('leaf')}",
        str(context.get("timestamp")),
        "deployed" if context.get("type") == EVENT else "refused",
        f"{told.get('reference')} -> {told.get('environment')}",
        str(told.get("digest", "no digest")),
        verified.rstrip(),
    )
    return clean("  ".join(cells))
