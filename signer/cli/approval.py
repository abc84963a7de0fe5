# SPDX-License-Identifier: Apache-2.0
"""`signer approval`: what waits for people and what they said, and taking back one's own word."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from signer.cli.approval_key import ApprovalKey, approval_key_options
from signer.cli.options import client_of, connection_options, settings_of
from signer.cli.output import Result, clean, mode_option
from signer.client.http import answer_malformed
from signer.errors import Malformed
from signer.formats.approval import RevocationStatement


@click.group()
def approval() -> None:
    """List what waits for people, and take back what you said."""


@approval.command("list")
@click.option("--hold", help="One hold, by its request id.")
@click.option("--digest", metavar="sha256:HEX", help="Only holds of this digest.")
@click.option("--policy", help="Only under this policy.")
@click.option("--environment", help="Only for this environment.")
@click.option("--all", "every", is_flag=True, help="Released and superseded ones as well.")
@connection_options
@mode_option
def list_(
    *,
    hold: str | None,
    digest: str | None,
    policy: str | None,
    environment: str | None,
    every: bool,
    **flags: str | None,
) -> Result:
    """List holds, the newest first, each with what people said of it."""
    wanted = {
        "hold": hold,
        "digest": None if digest is None else digest.removeprefix("sha256:"),
        "policy": policy,
        "environment": environment,
        "all": "true" if every else None,
    }
    filters = {name: value for name, value in wanted.items() if value is not None}
    answer = client_of(settings_of(**flags)).approvals(filters)
    rows = [row for row in answer.get("holds", ()) if isinstance(row, Mapping)]
    return Result(name="listed", members={"holds": rows}, answer="\n".join(line for row in rows for line in _hold(row)))


@approval.command()
@click.argument("digest", metavar="sha256:HEX")
@click.option("--reason", required=True, help="Why, in one line; it is recorded.")
@approval_key_options
@connection_options
@mode_option
def revoke(*, digest: str, reason: str, key: ApprovalKey | None, **flags: str | None) -> Result:
    """Take back your approval before a release rests on it, or your rejection; a signed one needs the key again."""
    name = digest.removeprefix("sha256:")
    client = client_of(settings_of(**flags))
    signed = None
    if key is not None:
        origin, approver = _of(client.approvals({"all": "true"}), name, client)
        statement = RevocationStatement(
            approval=name, origin=origin, reason=reason, approver=approver, at=datetime.now(UTC)
        )
        signed = key.sign(statement)
    answer = client.revoke_approval(name, reason=reason, revocation=signed)
    leaf = answer.get("leaf")
    if type(leaf) is not int:
        raise answer_malformed(Malformed("malformed-json", "the answer names no leaf"))
    return Result(
        name="revoked",
        members={"digest": name, "leaf": leaf},
        story=f"TAKEN BACK  approval sha256:{clean(name)}: leaf {leaf}",
    )


def _of(answer: Mapping[str, Any], digest: str, client: Any) -> tuple[str, str]:
    """Whose approval it is, at which authority; raises Malformed when no hold within reach has it."""
    for hold in answer.get("holds", ()):
        for each in hold.get("approvals", ()):
            if each.get("digest") == digest:
                return str(client.hold(hold["request_id"]).get("origin")), str(each.get("approver"))
    raise Malformed("not-found", "no hold of late has this approval", remedy="signer approval list --all")


def _hold(row: Mapping[str, Any]) -> list[str]:
    policy = row.get("policy")
    name = policy.get("name") if isinstance(policy, Mapping) else "?"
    cells = (f"{row.get('state')!s:<10}", row.get("request_id"), f"sha256:{row.get('sha256')}")
    lines = [clean("  ".join(map(str, (*cells, f"{name} -> {row.get('environment')}", row.get("time")))))]
    for each in row.get("approvals", ()):
        taken = "  taken back" if each.get("revoked") else ""
        reason = f": {each['reason']}" if each.get("reason") else ""
        said = f"    {each.get('verb')} by {each.get('approver')} ({each.get('form')}) sha256:{each.get('digest')}"
        lines.append(clean(f"{said}{reason}{taken}"))
    return lines
