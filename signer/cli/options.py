# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from signer.cli.output import Mode
from signer.client.endpoint import Endpoint
from signer.client.settings import ClientSettings, load_client_settings
from signer.domain.digest import Digest
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.rfc3339 import parse_time

if TYPE_CHECKING:
    from signer.client.http import Client

_Command = TypeVar("_Command", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
READABLE = click.Path(path_type=Path, dir_okay=False, exists=True, readable=True)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def connection_options(command: _Command) -> _Command:
    """Add the options that say where the authority is and as whom to speak to it."""
    for name, text in (
        ("--timeout", "Seconds for the whole command, retries included."),
        ("--client-key", "PEM file of the client's private key."),
        ("--client-cert", "PEM file of the client certificate."),
        ("--ca", "PEM file of the CA of the authority's certificate."),
        ("--url", "Address of the authority, https://HOST[:PORT]."),
    ):
        command = click.option(name, help=text)(command)
    return command


def subject_options(command: _Command) -> _Command:
    """Add `--subject` and `--subject-file`, both repeatable."""
    command = click.option(
        "--subject-file",
        "subject_files",
        type=READABLE,
        multiple=True,
        help="A file to digest as a subject; its name is the file's name.",
    )(command)
    return click.option(
        "--subject", "subjects", multiple=True, metavar="NAME@sha256:HEX", help="A subject by its digest."
    )(command)


def settings_of(**flags: str | None) -> ClientSettings:
    """The settings of this run; `flags` are the options that were given."""
    settings = load_client_settings(flags=flags, environ=os.environ, home=Path.home())
    context = click.get_current_context(silent=True)
    mode = None if context is None else context.find_object(Mode)
    if mode is not None and not mode.chosen:
        mode.name = "json" if settings.output() == "json" else "text"
    return settings


def client_of(settings: ClientSettings) -> Client:
    """A client for the configured authority; raises Misconfigured when no address is set."""
    # Imported here: an offline command must never load the HTTP library.
    from signer.client.http import Client  # noqa: PLC0415 - see above

    return Client(
        Endpoint(
            url=settings.require("url"),
            ca=_path(settings.get("ca")),
            certificate=_path(settings.get("client_cert")),
            key=_path(settings.get("client_key")),
            timeout=settings.timeout(),
        )
    )


def all_subjects(subjects: Sequence[str], files: Sequence[Path]) -> tuple[Subject, ...]:
    """Every named subject and every digested file; raises Malformed when there is none."""
    from signer.client.request import subject_of_file  # noqa: PLC0415 - keeps `--help` light

    found = (*(_subject(text) for text in subjects), *(subject_of_file(path) for path in files))
    if not found:
        raise click.UsageError("name at least one subject with --subject or --subject-file")
    return found


def duration(text: str) -> timedelta:
    """Read `90s`, `30m`, `12h` or `7d`; raises click.BadParameter."""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit()) or len(number) > 6:  # noqa: PLR2004 - bound
        raise click.BadParameter(f"{text!r} is not a duration such as 90s, 30m, 12h or 7d")
    return timedelta(seconds=int(number) * _UNITS[unit])


def instant(text: str | None, *, now: datetime) -> datetime | None:
    """Read `30d`, which is so long before `now`, or an RFC 3339 time; raises click.BadParameter."""
    if text is None:
        return None
    if "T" in text:
        try:
            return parse_time(text, what="time")
        except Malformed as fault:
            raise click.BadParameter(fault.detail) from None
    return now - duration(text)


def read_file(path: Path, *, limit: int) -> bytes:
    """The bytes of a file of at most `limit` bytes; raises OSError or Malformed."""
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Malformed("too-large", f"{path} is larger than {limit} bytes")
    return data


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file or none: a crash leaves the old file or a stray temporary one, never half a file."""
    with new_file(path) as write:
        write(data)


@contextmanager
def new_file(path: Path) -> Iterator[Callable[[bytes], object]]:
    """The same piece by piece: the file stands under its name once the block has ended well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def require_writable(path: Path | None, option: str) -> None:
    """Refuse an output that cannot be written before anything irrevocable is asked for."""
    if path is None:
        return
    parent = path.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK) or path.is_dir():
        raise click.BadParameter(f"{path} cannot be written", param_hint=option)


def _subject(text: str) -> Subject:
    """NAME@sha256:HEX, or the digest alone, which is its own name."""
    if "@" not in text:
        digest = Digest.parse(text)
        return Subject(str(digest), (digest,))
    return Subject.parse(text)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
