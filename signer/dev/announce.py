# SPDX-License-Identifier: Apache-2.0
"""What `signer dev` tells a shell and a person: the file of exports, and three commands to copy."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from signer.dev.directory import IDENTITIES, OWNERS, DevDirectory
from signer.settings import WebSettings


def exports(
    directory: DevDirectory, *, web: WebSettings, policy: str, environment: str, subject: str
) -> dict[str, str]:
    """The variables of DIR/env: the client of `ci`, and where everything else is."""
    ci = directory.identity("ci")
    values = {
        "SIGNER_URL": f"https://{web.bind}",
        "SIGNER_CA": str(directory.ca / "ca.pem"),
        "SIGNER_CLIENT_CERT": str(ci / "cert.pem"),
        "SIGNER_CLIENT_KEY": str(ci / "key.pem"),
        "SIGNER_TRUST": str(directory.trust),
        "SIGNER_CONFIG": str(directory.settings),
        "SIGNER_DEV_DIR": str(directory.root),
        "SIGNER_DEV_POLICY": policy,
        "SIGNER_DEV_ENVIRONMENT": environment,
        "SIGNER_DEV_SUBJECT": subject,
        "SIGNER_DEV_PUBLIC_URL": f"https://{web.public_bind}",
        "SIGNER_DEV_METRICS_URL": f"http://{web.metrics_bind}/metrics",
    }
    for name in IDENTITIES:
        folder, stem = directory.identity(name), f"SIGNER_DEV_{name.upper().replace('-', '_')}"
        values[f"{stem}_CERT"] = str(folder / "cert.pem")
        values[f"{stem}_KEY"] = str(folder / "key.pem")
        values[f"{stem}_APPROVAL_KEY"] = str(folder / "approval.key")
    for name in OWNERS:
        values[f"SIGNER_DEV_{name.upper().replace('-', '_')}_OWNER_KEY"] = str(directory.owner_key(name))
    return values


def render_exports(values: Mapping[str, str]) -> bytes:
    """`export NAME='value'` lines for a POSIX shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()).encode()


def read_exports(path: Path) -> dict[str, str]:
    """Read back what `render_exports` wrote."""
    words = [shlex.split(line) for line in path.read_text().splitlines()]
    return dict(pair.split("=", 1) for _, pair in words)


def three_commands(directory: DevDirectory, *, policy: str, environment: str) -> tuple[str, str, str]:
    """Signed, denied, verified: one line of shell each, complete in itself."""
    root, samples = shlex.quote(str(directory.root)), shlex.quote(str(directory.samples))
    # Each line sources the exports itself, so it works in a fresh shell.
    asked = f"--policy {shlex.quote(policy)} --environment {shlex.quote(environment)}"
    sign = f". {root}/env; signer sign {asked} --subject-file {samples}"
    kept = f"--bundle {root}/bundle.json --receipt {root}/receipt.json"
    verify = f"signer verify --allow-dev --trust {root}/trust.json --environment {shlex.quote(environment)}"
    return (
        f"{sign}/artifact.txt --evidence {samples}/good*.json {kept}",
        f"{sign}/bad-artifact.txt --evidence {samples}/bad*.json",
        f"{verify} {kept} --subject-file {samples}/artifact.txt",
    )
