# SPDX-License-Identifier: Apache-2.0
"""Recorded decisions, from wherever they are: the authority, a ledger's database, or a file made from one of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from signer.cli.options import READABLE, client_of, connection_options, settings_of
from signer.errors import Malformed
from signer.formats.replay_record import MAX_LINE, DecisionRecord, PolicyRecord, parse_record
from signer.formats.rfc3339 import format_time

_Command = TypeVar("_Command", bound=Callable[..., Any])
CONNECTION = ("url", "ca", "client_cert", "client_key", "timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which decisions of one policy."""

    policy: str
    environment: str | None
    since: datetime | None
    until: datetime | None

    def takes(self, record: DecisionRecord) -> bool:
        """Whether this record is one of them."""
        return (
            record.policy.name == self.policy
            and self.environment in (None, record.environment)
            and (self.since is None or record.time >= self.since)
            and (self.until is None or record.time < self.until)
        )


Lines = Iterator[bytes]
"""Records as JSON Lines, each policy before the first decision that names it."""


def source_options(command: _Command) -> _Command:
    """Add `--export` and `--database`, and the connection for the case that neither is given."""
    command = connection_options(command)
    command = click.option(
        "--database", metavar="PATH", help="Read a ledger's database file or URL instead of asking over HTTPS."
    )(command)
    return click.option("--export", type=READABLE, help="Read a file that `signer decision export` wrote.")(command)


def lines_of(wanted: Wanted, *, export: Path | None, database: str | None, flags: dict[str, str | None]) -> Lines:
    """The records from the place that was named; over HTTPS the caller needs the audit grant for the policy."""
    if export is not None and database is not None:
        raise click.UsageError("--export and --database are two different places")
    if export is not None:
        return _from_file(export)
    if database is not None:
        # Imported here: it needs the server's libraries.
        from signer.cli.operator import recorded_decisions  # noqa: PLC0415 - see above

        return recorded_decisions(
            database,
            policy=wanted.policy,
            environment=wanted.environment,
            since=wanted.since,
            until=wanted.until,
        )
    return _from_authority(wanted, flags)


def _from_file(path: Path) -> Lines:
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE + 2):
            if not line.endswith(b"\n"):
                raise Malformed(
                    "malformed-record",
                    f"{path} ends within a line, or holds one of more than {MAX_LINE} bytes",
                    remedy="export it again",
                )
            yield line[:-1]


def _from_authority(wanted: Wanted, flags: dict[str, str | None]) -> Lines:
    client = client_of(settings_of(**flags))
    filters = {"policy": wanted.policy}
    if wanted.environment is not None:
        filters["environment"] = wanted.environment
    for name, instant in (("since", wanted.since), ("until", wanted.until)):
        if instant is not None:
            filters[name] = format_time(instant)
    following: str | None = ""
    while following is not None:
        body, following = client.records({**filters, **({"before": following} if following else {})})
        yield from body.split(b"\n")[:-1]


def write_lines(path: Path, lines: Lines) -> int:
    """Write all lines or no file, and return how many there are."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = 0
    try:
        with temporary.open("xb") as file:
            for line in lines:
                file.write(line + b"\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def decisions_of(lines: Lines, wanted: Wanted) -> Iterator[tuple[DecisionRecord, bytes]]:
    """Each wanted decision with the bytes of its policy; raises Malformed when a policy is missing."""
    policies: dict[str, bytes] = {}
    for line in lines:
        match parse_record(line):
            case PolicyRecord(digest=digest, data=data):
                policies[digest] = data
            case DecisionRecord() as record if wanted.takes(record):
                if record.policy.digest not in policies:
                    raise Malformed(
                        "malformed-record",
                        f"the records do not hold the policy sha256:{record.policy.digest[:64]} of decision "
                        f"{record.leaf}",
                        remedy="export them again",
                    )
                yield record, policies[record.policy.digest]
            case DecisionRecord():
                continue
