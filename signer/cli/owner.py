# SPDX-License-Identifier: Apache-2.0
"""`signer owner sign`: an owner's consent to one document version or to the end of one halt, made offline."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar, get_args

import click

from policy.document import parse_policy
from policy.schema import PolicyError
from signer.cli.key_file import load_key
from signer.cli.options import FILE, READABLE, read_file, settings_of, write_file
from signer.cli.output import Result, clean, mode_option
from signer.errors import Malformed
from signer.formats.canonical import sha256_hex
from signer.formats.owner_act import Action, OwnerAct, sign_owner_act
from signer.formats.trust import MAX_TRUST, parse_trust_document
from signer.identity.access import parse_access
from signer.ledger.leaves import HaltLeaf, decode_leaf
from signer.verify.checks import Checklist
from signer.verify.trust import verify_trust

_Value = TypeVar("_Value")

MAX_DOCUMENT = 1024 * 1024

EPILOG = """\b
Examples:
  signer owner sign --action policy --document policy.yaml \\
    --trust trust.json --key owner-1.pem --out policy.owner-1
  signer owner sign --action resume --number 17 --document halt-leaf.json \\
    --trust trust.json --key owner-1.pem --out resume.owner-1
"""


@click.group()
def owner() -> None:
    """Sign an owner act offline."""


@owner.command("sign", epilog=EPILOG)
@click.option("--action", type=click.Choice(get_args(Action)), required=True, help="What is agreed to.")
@click.option("--document", type=READABLE, help="The document; for resume, the bytes of the halt leaf.")
@click.option("--sha256", metavar="HEX", help="Digest of the document, when it is not at hand.")
@click.option(
    "--number", type=click.IntRange(min=0), help="Version, or index of the halt leaf; read from the document."
)
@click.option("--origin", help="Origin of the authority; read from the trust file or the trust document.")
@click.option("--trust", help="The trust file, for the origin.")
@click.option("--key", type=READABLE, required=True, help="PEM file of the owner's private key (P-256 or Ed25519).")
@click.option("--passphrase-file", type=READABLE, help="File with the passphrase of the key.")
@click.option("--out", type=FILE, required=True, help="Write the signature here.")
@mode_option
def sign(
    *,
    action: Action,
    document: Path | None,
    sha256: str | None,
    number: int | None,
    origin: str | None,
    trust: str | None,
    key: Path,
    passphrase_file: Path | None,
    out: Path,
) -> Result:
    """Agree to one version of a document, or to the end of one halt. Opens no connection."""
    data = None if document is None else read_file(document, limit=MAX_DOCUMENT)
    stated, stated_origin = (None, None) if data is None else _stated(action, data)
    act = OwnerAct(
        action,
        _same("number", number, stated),
        _same("origin", origin, stated_origin or (_trusted_origin(trust) if origin is None else None)),
        _digest(sha256, data),
    )
    signature = sign_owner_act(act, load_key(key, passphrase_file))
    write_file(out, signature)
    members = {"action": act.action, "number": act.number, "origin": act.origin, "sha256": act.sha256}
    return Result(
        name="owner-signed",
        members={**members, "signature": str(out)},
        story="\n".join(
            ["signed as owner", *(f"  {name:<9} {clean(str(value))}" for name, value in members.items()), f"  in {out}"]
        ),
    )


def _stated(action: Action, data: bytes) -> tuple[int | None, str | None]:
    """The number and origin that a document states of itself; reading it also refuses one that is not valid."""
    match action:
        case "policy" | "shadow":
            try:
                return parse_policy(data).version, None
            except PolicyError as fault:
                raise Malformed("policy-invalid", fault.detail, remedy=fault.remedy) from None
        case "access":
            return parse_access(data).version, None
        case "trust":
            trust = parse_trust_document(data)
            return trust.version, trust.origin
        case "resume":
            if not isinstance(decode_leaf(data), HaltLeaf):
                raise Malformed("malformed-leaf", "the document is not a halt leaf", remedy="signer log entry INDEX")
            return None, None


def _same(name: str, given: _Value | None, stated: _Value | None) -> _Value:
    """The value that was given, that the document states, or both when they agree."""
    if given is not None and stated is not None and given != stated:
        raise click.UsageError(f"--{name} {given} is not what the document says: {stated}")
    value = given if given is not None else stated
    if value is None:
        raise click.UsageError(f"--{name} is needed: the document does not state it")
    return value


def _digest(given: str | None, data: bytes | None) -> str:
    found = None if data is None else sha256_hex(data)
    return _same("sha256", None if given is None else given.removeprefix("sha256:"), found)


def _trusted_origin(trust: str | None) -> str | None:
    path = settings_of(trust=trust).get("trust")
    if path is None:
        return None
    # Whether its signatures protect anything is not the question here: only whose ledger is spoken of.
    return verify_trust(read_file(Path(path), limit=MAX_TRUST), checks=Checklist(), allow_dev=True).origin
