# SPDX-License-Identifier: Apache-2.0
"""`signer policy init`: a strict working document and its tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import click

from policy.library import BUILD_TYPES, PARAMETERS, Level, Stages, render, render_tests
from signer.cli.options import FILE, READABLE, read_file, require_writable, write_file
from signer.cli.output import Result, mode_option
from signer.cli.policy_documents import naming
from signer.errors import Malformed

MAX_KEY = 64 * 1024
YEAR = timedelta(days=365)

EPILOG = """\b
Examples:
  signer policy init --level minimum --name shop --repository github.com/acme/shop \\
    --builder-id https://github.com/acme/builder/.github/workflows/build.yml@refs/tags/v1 \\
    --builder-key builder.pub \\
    --source-key source.pub --source-verifier https://ci.example/source --out shop.yaml
  signer policy init --level better --production --approvers sre …
"""


@click.command(epilog=EPILOG)
@click.option("--level", type=click.Choice(get_args(Level)), required=True, help="How much to demand.")
@click.option("--name", required=True, help="Name of the policy, as requests will say it.")
@click.option(
    "--version", metavar="N", type=click.IntRange(min=1), default=1, help="Newer than the one in force; 1 without it."
)
@click.option("--owner", default="security", show_default=True, help="Who answers for the policy.")
@click.option("--repository", required=True, help="Accepted repository, a pattern without scheme.")
@click.option("--environment", default="release", show_default=True, help="Environment that it signs for.")
@click.option("--key", default="release", show_default=True, help="Name of the signing key.")
@click.option("--production", is_flag=True, help="Add staging and production, after the release.")
@click.option("--approvers", metavar="GROUP", help="Who approves; the group approvers without it.")
@click.option("--production-key", metavar="NAME", help="Key of production; production without it.")
@click.option("--builder-id", required=True, help="builder.id of the provenance.")
@click.option("--builder-key", type=READABLE, required=True, help="PEM public key of the builder.")
@click.option("--scanner-key", type=READABLE, help="PEM public key of the scanner (better and strong).")
@click.option("--source-key", type=READABLE, required=True, help="PEM public key of the source platform's collector.")
@click.option("--source-verifier", required=True, help="verifier.id of source VSAs, producer of review records.")
@click.option("--build-type", "build_types", multiple=True, help="Accepted build type; GitHub and Tekton without it.")
@click.option("--parameter", "parameters", multiple=True, help="Accepted external parameter; GitHub's without it.")
@click.option("--out", type=FILE, required=True, help="Write the policy here, and its tests to NAME.test.yaml.")
@mode_option
def init(
    *,
    level: Level,
    builder_key: Path,
    scanner_key: Path | None,
    source_key: Path,
    source_verifier: str,
    build_types: Sequence[str],
    parameters: Sequence[str],
    out: Path,
    name: str,
    version: int,
    owner: str,
    repository: str,
    environment: str,
    key: str,
    builder_id: str,
    production: bool,
    approvers: str | None,
    production_key: str | None,
) -> Result:
    """Write a working policy of one level, with its tests beside it. It expires in a year: review it by then."""
    if level != "minimum" and scanner_key is None:
        raise click.UsageError(f"level {level} needs --scanner-key")
    if not production and (approvers or production_key):
        raise click.UsageError("--approvers and --production-key go with --production")
    stages = Stages(approvers=approvers or "approvers", key=production_key or "production") if production else None
    tests = out.with_suffix(f".test{out.suffix}")
    for path in (out, tests):
        require_writable(path, "--out")
        if path.exists():
            raise click.BadParameter(f"{path} exists", param_hint="--out")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with naming(out):
        document = render(
            level,
            name=name,
            version=version,
            owner=owner,
            builder_id=builder_id,
            builder_key=_pem(builder_key),
            scanner_key=_pem(scanner_key or builder_key),
            source_key=_pem(source_key),
            source_verifier=source_verifier,
            repository=repository,
            environment=environment,
            key=key,
            build_types=build_types or BUILD_TYPES,
            parameters=parameters or PARAMETERS,
            expires=today + YEAR,
            stages=stages,
        )
        suite = render_tests(
            level,
            repository=repository,
            environment=environment,
            build_types=build_types or BUILD_TYPES,
            parameters=parameters or PARAMETERS,
            stages=stages,
        )
    write_file(out, document)
    write_file(tests, suite)
    return Result(
        name="written",
        members={"policy": str(out), "tests": str(tests), "level": level},
        story=f"""wrote {out} and {tests}
 next  read the head of {out} and make true what it lists, then
       signer policy lint {out}
       signer policy test {out}
       signer policy explain {out}""",
    )


def _pem(path: Path) -> str:
    try:
        return read_file(path, limit=MAX_KEY).decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("invalid-key", f"{path} is not a PEM public key", remedy="openssl pkey -pubout") from None
