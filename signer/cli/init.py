# SPDX-License-Identifier: Apache-2.0
"""`signer init`: a new authority. Owners, ledger key and guard are fixed here; keys and trust follow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from signer.cli.options import READABLE, read_file
from signer.cli.output import Result, mode_option
from signer.errors import Malformed, Misconfigured
from signer.formats.owner_act import MAX_ACT
from signer.formats.spki import keyid, load_pem, spki_der
from signer.settings import load_settings

MAX_DOCUMENT = 1024 * 1024


@click.command()
@click.option("--config", type=READABLE, required=True, envvar="SIGNER_CONFIG", help="The server's signer.toml.")
@click.option(
    "--owner", "owners", type=READABLE, multiple=True, required=True, help="PEM public key of an owner; repeatable."
)
@click.option("--threshold", type=click.IntRange(min=1), required=True, help="How many owners must agree.")
@click.option("--policy", "policies", type=READABLE, multiple=True, help="Put this policy document in force.")
@click.option("--access", type=READABLE, help="Put this access document in force.")
@click.option(
    "--signature", "signatures", type=READABLE, multiple=True, help="An owner's signature over a document; repeatable."
)
@mode_option
def init(
    *,
    config: Path,
    owners: Sequence[Path],
    threshold: int,
    policies: Sequence[Path],
    access: Path | None,
    signatures: Sequence[Path],
) -> Result:
    """Make a new authority: genesis, owners, ledger key, guard. Overwrites nothing.

    Documents need the owners' threshold: each owner signs them before, offline, with `signer owner sign --action
    policy|access --origin ORIGIN`.

    \b
    signer init --config signer.toml --owner anna.pub --owner ben.pub --threshold 2 \\
      --policy policy.yaml --access access.yaml \\
      --signature policy.anna --signature policy.ben --signature access.anna --signature access.ben
    """  # noqa: D301 - the backspace tells click not to wrap what follows
    from signer.wiring import Founding, found_authority  # noqa: PLC0415 - the server's libraries load only here

    settings = load_settings(config)
    keys = tuple(dict.fromkeys(_public_key(path) for path in owners))
    if not threshold <= len(keys):
        raise Misconfigured("owner-threshold", f"{threshold} of {len(keys)} distinct owners can never agree")
    documents = [("policy", read_file(path, limit=MAX_DOCUMENT)) for path in policies]
    if access is not None:
        documents.append(("access", read_file(access, limit=MAX_DOCUMENT)))
    founding = Founding(
        owners=keys,
        threshold=threshold,
        dev=False,
        documents=tuple(documents),
        signatures=tuple(read_file(path, limit=MAX_ACT) for path in signatures),
        principal=f"operator:{os.getuid()}",
    )
    size = found_authority(settings, founding, now=datetime.now(UTC))
    return Result(
        name="founded",
        members={"origin": settings.origin, "size": size, "owners": [keyid(key) for key in keys]},
        story=_story(settings.origin, size, config=config, names=[key.name for key in settings.keys]),
    )


def _story(origin: str, size: int, *, config: Path, names: Sequence[str]) -> str:
    created = "\n".join(f"   signer keys create {name} --config {config}" for name in names or ["NAME"])
    return f"""The ledger of {origin} begins with {size} leaf or leaves. Nothing can be signed yet.
 next, on this machine:
   signer custodian --config {config}          # keep it running
{created}
   signer trust draft --config {config} --out trust-document.json
 each owner, offline:
   signer owner sign --action trust --document trust-document.json --key OWNER.key --out trust.OWNER
 then, on this machine:
   signer trust publish trust-document.json --signature trust.OWNER … --config {config}
   signer serve --config {config}
   signer doctor --config {config}
 Copy the ledger key and the guard to a safe place now: without them the ledger cannot go on."""


def _public_key(path: Path) -> bytes:
    try:
        return spki_der(load_pem(read_file(path, limit=MAX_ACT).decode("ascii")))
    except (UnicodeDecodeError, Malformed):
        raise Malformed("invalid-key", f"{path} is not a PEM public key", remedy="openssl pkey -pubout") from None
