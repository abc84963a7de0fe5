# SPDX-License-Identifier: Apache-2.0
"""What `signer doctor` looks at in one token, in a process of its own: a vendor module may crash or hang.

    python -P -m signer.cli.checkup_token SETTINGS LABEL      # prints a JSON array of lines

No key signs anything here: a key is used for durable decisions alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from signer.cli.checkup import Expectation, Line, run_check
from signer.formats.spki import keyid
from signer.keys.uri import parse_uri
from signer.settings import KeySettings, Settings, TokenSettings, load_settings
from signer.wiring import open_backend, open_ledger_reader

MECHANISM = "ECDSA"


def examine_token(settings: Settings, token: TokenSettings) -> Iterator[Line]:
    """Login, mechanism, and each of its keys against the pin in the ledger."""
    login = Expectation(
        f"token {token.label}", "found by its label, and the PIN is right", "check [[tokens]] and the PIN"
    )
    opened = []

    def look() -> tuple[bool, str]:
        opened.append(open_backend(settings, token))
        return True, f"logged in through {token.module}"

    yield run_check(login, look)
    if not opened:
        return
    backend = opened[0]

    def mechanism() -> tuple[bool, str]:
        return MECHANISM in backend.mechanisms(), f"{len(backend.mechanisms())} mechanisms"

    yield run_check(
        Expectation(f"mechanism of {token.label}", f"CKM_{MECHANISM}", "use a token that signs digests with P-256"),
        mechanism,
    )
    with open_ledger_reader(settings) as reader:
        pins = {row.name: row.spki for row in reader.keys()}  # noqa: SIM118 - the reader is no mapping
    for key in settings.keys:
        if parse_uri(key.uri).token == token.label:

            def pin(key: KeySettings = key) -> tuple[bool, str]:
                spki = backend.public_key(parse_uri(key.uri))
                recorded = pins.get(key.name)
                if recorded is None:
                    return False, f"{keyid(spki)}, which the ledger does not record"
                return spki == recorded, keyid(spki)

            recorded = pins.get(key.name)
            wanted = "recorded in the ledger" if recorded is None else keyid(recorded)
            yield run_check(
                Expectation(f"pin of key {key.name}", wanted, f"signer keys create {key.name} records a new key"), pin
            )


def main(arguments: list[str]) -> int:
    """Examine one token and print what was found."""
    settings = load_settings(Path(arguments[1]))
    token = next(token for token in settings.tokens if token.label == arguments[2])
    sys.stdout.write(json.dumps([asdict(line) for line in examine_token(settings, token)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
