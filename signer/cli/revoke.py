# SPDX-License-Identifier: Apache-2.0
"""`signer revoke`: take back what was signed for a digest, for good."""

from __future__ import annotations

import click

from signer.cli.options import all_subjects, client_of, connection_options, settings_of
from signer.cli.output import Result, clean, colour, mode_option
from signer.client.http import answer_malformed
from signer.errors import Malformed
from signer.formats.canonical import canonical


@click.command()
@click.argument("digest", metavar="[NAME@]sha256:HEX")
@click.option("--policy", required=True, help="Policy under which it was signed.")
@click.option("--environment", help="Environment for which it was signed.")
@click.option("--all-environments", is_flag=True, help="Whatever it was signed for.")
@click.option("--reason", required=True, help="Why, in one line; it is recorded and published.")
@connection_options
@mode_option
def revoke(
    *, digest: str, policy: str, environment: str | None, all_environments: bool, reason: str, **flags: str | None
) -> Result:
    """Take back a release: it enters the signed revocation list, and `signer verify --revocations` refuses it.

    It cannot be undone, and the digest is not signed again there.
    """
    if (environment is None) == (not all_environments):
        raise click.UsageError("name one --environment, or say --all-environments")
    (subject,) = all_subjects([digest], ())
    scope = environment or "*"
    request = canonical(
        {"digest": f"sha256:{subject.sha256}", "policy": policy, "environment": scope, "reason": reason}
    )
    leaf = client_of(settings_of(**flags)).revoke(request).get("leaf")
    if type(leaf) is not int:
        raise answer_malformed(Malformed("malformed-json", "the answer names no leaf"))
    place = "all environments" if scope == "*" else clean(scope)
    return Result(
        name="revoked",
        members={"leaf": leaf, "digest": f"sha256:{subject.sha256}", "policy": policy, "environment": scope},
        story=f"""{colour("REVOKED", "red")}  sha256:{subject.sha256} under {clean(policy)} for {place}: leaf {leaf}
 next     where it runs, roll back: signer deployment list --digest sha256:{subject.sha256}
          deployers fetch the list: /v1/revocations, for `signer verify --revocations`""",
    )
