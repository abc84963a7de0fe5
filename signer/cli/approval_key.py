# SPDX-License-Identifier: Apache-2.0
"""With which key somebody approves, and as whom: a PEM file, a key in a token, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from signer.cli.approval_token import sign_with_token
from signer.cli.key_file import load_key
from signer.cli.options import READABLE
from signer.formats.approval import PAYLOAD_TYPE, ApprovalStatement, RevocationStatement, sign_approval


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalKey:
    """The key that was named."""

    file: Path | None = None
    passphrase_file: Path | None = None
    token_key: str = ""
    token_module: Path | None = None
    pin_file: Path | None = None

    def sign(self, statement: ApprovalStatement | RevocationStatement) -> bytes:
        """The envelope around a statement; raises Misconfigured or KeyFault when the key cannot be used."""
        if self.file is not None:
            return sign_approval(statement, load_key(self.file, self.passphrase_file))
        assert self.token_module is not None, "the options go together"
        assert self.pin_file is not None, "the options go together"
        return sign_with_token(
            PAYLOAD_TYPE,
            statement.payload(),
            key=self.token_key,
            module=self.token_module,
            pin_file=self.pin_file,
        )


def approval_key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a key; the command gets an ApprovalKey as `key`, or None."""

    @wraps(command)
    def chosen(
        *,
        key: Path | None,
        passphrase_file: Path | None,
        token_key: str | None,
        token_module: Path | None,
        pin_file: Path | None,
        **options: Any,
    ) -> Any:
        token = (token_key, token_module, pin_file)
        if any(token) and (key is not None or not all(token)):
            raise click.UsageError("name a key file, or a token by --token-key, --token-module and --pin-file together")
        found = None
        if key is not None or token_key is not None:
            found = ApprovalKey(
                file=key,
                passphrase_file=passphrase_file,
                token_key=token_key or "",
                token_module=token_module,
                pin_file=pin_file,
            )
        return command(key=found, **options)

    for name, kind, text in (
        ("--pin-file", READABLE, "File with the PIN of the token."),
        ("--token-module", READABLE, "The token's PKCS #11 module."),
        ("--token-key", None, "Your approval key in a token: pkcs11:token=…;object=…;id=… (P-256)."),
        ("--passphrase-file", READABLE, "File with the passphrase of the key."),
        ("--key", READABLE, "PEM file of your approval key (P-256 or Ed25519)."),
    ):
        chosen = click.option(name, type=kind, help=text)(chosen)
    return chosen


def approver_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add who says it, and how."""
    command = click.option("--yes", is_flag=True, help="Do not ask at the terminal.")(command)
    command = click.option(
        "--recorded", is_flag=True, help="Without a signature: your certificate vouches, and policies may refuse it."
    )(command)
    return click.option("--approver", help="Your person id in the access document; told by your certificate.")(command)
