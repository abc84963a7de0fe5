# SPDX-License-Identifier: Apache-2.0
"""`signer publish`: what the public listener serves, as files for a web server or a bucket."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from signer.cli.options import READABLE
from signer.cli.output import Result, colour, mode_option, progress_bar
from signer.publisher.directory import Directory
from signer.publisher.publishing import Published, publish as publish_site
from signer.settings import Settings, load_settings
from signer.telemetry.logs import open_log
from signer.verify.checks import render_passed, report

DIRECTORY = click.Path(path_type=Path, file_okay=False)

EPILOG = """\b
Examples:
  signer publish --config /etc/signer/signer.toml --to /srv/signing
  signer publish --config /etc/signer/signer.toml --to /srv/audit --entries
"""


@click.command(epilog=EPILOG)
@click.option("--config", type=READABLE, required=True, envvar="SIGNER_CONFIG", help="The server's signer.toml.")
@click.option("--to", "directory", type=DIRECTORY, required=True, help="The folder to bring up to date.")
@click.option(
    "--entries", is_flag=True, help="The leaves themselves as well: they tell of every policy, so mind who reads them."
)
@mode_option
def publish(*, config: Path, directory: Path, entries: bool) -> Result:
    """Write keys, trust file, revocations, checkpoint and hash tiles into a folder, verified first.

    Tiles come first and the checkpoint last, each file whole. Refused when the folder holds a state that this ledger
    does not extend. Run it by a timer: the revocation list is replaced before its next update.
    """
    with progress_bar("publishing", 100) as advance:
        shown = 0

        def progress(done: int, count: int) -> None:
            nonlocal shown
            advance(done * 100 // count - shown)
            shown = done * 100 // count

        published = publish_directory(load_settings(config), directory, entries=entries, progress=progress)
    return Result(
        name="published",
        members={
            "origin": published.origin,
            "size": published.size,
            "tiles": published.tiles,
            "documents": published.documents,
            "directory": str(directory),
            "checks": report(published.checks),
        },
        story=f"""{colour("PUBLISHED", "green")}  {published.size} leaves of {published.origin} in {directory}
{render_passed(published.checks, paint=colour)}
 written  {published.tiles} tiles, {published.documents} documents, the checkpoint""",
    )


def publish_directory(
    settings: Settings, directory: Path, *, entries: bool, progress: Callable[[int, int], None]
) -> Published:
    """Bring a folder up to date from this machine's ledger; raises CheckFailed or Refused."""
    from signer.web.in_process import PublicListener  # noqa: PLC0415 - the server's libraries load only here
    from signer.wiring import web_application  # noqa: PLC0415 - the same

    with Path(os.devnull).open("wb") as nowhere:
        # Nobody asks over a network, so nothing belongs into an access log.
        site = PublicListener(web_application(settings, log=open_log(nowhere, room="web")))
        return publish_site(site, to=Directory(directory), now=datetime.now(UTC), entries=entries, progress=progress)
