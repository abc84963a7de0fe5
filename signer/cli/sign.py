# SPDX-License-Identifier: Apache-2.0
"""`signer sign`: ask for a signature and keep the bundle and the receipt."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import click

from policy.decision import Finding
from signer.cli.denial import short
from signer.cli.options import (
    FILE,
    FOLDER,
    READABLE,
    all_subjects,
    client_of,
    connection_options,
    duration,
    read_file,
    require_writable,
    settings_of,
    subject_options,
    write_file,
)
from signer.cli.output import Result, clean, colour, mode_option, warning_lines
from signer.cli.outputs import require_new_folder, write_outputs
from signer.cli.shadowed import shadowed
from signer.cli.waiting import send
from signer.client.request import evidence_of_file, signing_request
from signer.domain.subject import Subject
from signer.errors import Malformed
from signer.formats.bundle import parse_bundle
from signer.formats.receipt import Receipt, ReceiptBundle, parse_receipt
from signer.formats.statement import parse_statement
from signer.formats.trust import MAX_TRUST
from signer.verify.answer import verify_release
from signer.verify.bundle import Expectation
from signer.verify.checks import Checklist

EPILOG = """\b
Examples:
  signer sign --policy demo --environment release \\
    --subject-file dist/app.tar.gz --evidence provenance.json tests.json \\
    --bundle app.sigstore.json --receipt app.receipt.json
  signer sign --policy demo --environment release --oci-layout signatures \\
    --subject registry.example/shop@sha256:9c56… --evidence good-*.json
"""


@click.command(epilog=EPILOG)
@click.option("--policy", required=True, help="Name of the policy to be judged by.")
@click.option("--environment", required=True, help="Environment to be signed for.")
@subject_options
@click.option("--evidence", "evidence", type=READABLE, multiple=True, help="An attestation; a .jsonl holds one a line.")
@click.argument("more_evidence", metavar="[EVIDENCE]...", type=READABLE, nargs=-1)
@click.option("--bundle", type=FILE, help="Write the Sigstore bundle here.")
@click.option("--receipt", type=FILE, help="Write the receipt here.")
@click.option("--oci-layout", type=FOLDER, help="Write the signatures of images here, ready to be attached.")
@click.option("--artifact-signatures", type=FOLDER, help="Write the detached signatures of artifacts here.")
@click.option("--trust", help="Verify the answer with this trust file before it is written.")
@click.option("--wait", metavar="TIME", help="Wait so long for approvals, for example 30m; time never approves.")
@click.option("--idempotency-key", help="Continue an earlier request; a new key is made for each run.")
@connection_options
@mode_option
def sign(
    *,
    policy: str,
    environment: str,
    subjects: Sequence[str],
    subject_files: Sequence[Path],
    evidence: Sequence[Path],
    more_evidence: Sequence[Path],
    bundle: Path | None,
    receipt: Path | None,
    oci_layout: Path | None,
    artifact_signatures: Path | None,
    trust: str | None,
    wait: str | None,
    idempotency_key: str | None,
    **flags: str | None,
) -> Result:
    """Ask for a signature over one or more digests.

    Nothing is signed unless the policy allows it. A denial says what is missing and exits with 10 or 12.
    """
    settings = settings_of(trust=trust, **flags)
    wanted = all_subjects(subjects, subject_files)
    items = [item for path in (*evidence, *more_evidence) for item in evidence_of_file(path)]
    require_writable(bundle, "--bundle")
    require_writable(receipt, "--receipt")
    require_new_folder(oci_layout, "--oci-layout")
    require_new_folder(artifact_signatures, "--artifact-signatures")
    trust_path = settings.get("trust")
    trust_data = None if trust_path is None else read_file(Path(trust_path), limit=MAX_TRUST)
    request = signing_request(policy=policy, environment=environment, subjects=wanted, evidence=items)
    client = client_of(settings)
    answer = send(
        client,
        request,
        idempotency_key=idempotency_key or secrets.token_hex(16),
        wait=timedelta() if wait is None else duration(wait),
    )
    parsed, first, later = _receipt(answer)
    allow_dev = ""
    if trust_data is None:
        _require_same_subjects(first, wanted)
    else:
        # A development authority marks its signatures itself; whoever relies on one decides in `signer verify`.
        release = verify_release(
            trust_data,
            bundle=first.bundle,
            receipt=answer,
            expect=Expectation(subjects=wanted, policy=policy, environment=environment),
            allow_dev=True,
        )
        allow_dev = "--allow-dev " if release.trust.dev else ""
    if receipt is not None:
        write_file(receipt, answer)
    if bundle is not None:
        write_file(bundle, first.bundle)
    tags = write_outputs(parsed, layout=oci_layout, signatures=artifact_signatures)
    verify = None if bundle is None else f"signer verify {allow_dev}--trust {trust_path or 'TRUST'} --bundle {bundle}"
    kept = {
        "bundle": bundle,
        "receipt": receipt,
        "oci_layout": oci_layout,
        "artifact_signatures": artifact_signatures,
    }
    return _result(
        parsed,
        wanted,
        later=later,
        warnings=client.warnings,
        kept=kept,
        tags=tags,
        verified=trust_data is not None,
        verify=verify,
    )


def _receipt(answer: bytes) -> tuple[Receipt, ReceiptBundle, tuple[Finding, ...]]:
    """The receipt in an answer, the bundle that `--bundle` keeps, and what is in shadow."""
    from signer.client.http import answer_malformed  # noqa: PLC0415 - loads the HTTP library

    try:
        parsed = parse_receipt(answer)
        later = shadowed(parsed)
    except Malformed as fault:
        raise answer_malformed(fault) from None
    for entry in parsed.bundles:
        if entry.format == "vsa":
            return parsed, entry, later
    raise answer_malformed(Malformed("malformed-receipt", "the receipt holds no bundle"))


def _require_same_subjects(entry: ReceiptBundle, wanted: Sequence[Subject]) -> None:
    """Without a trust file the signature is not verified here, but an answer about other digests is no answer."""
    with Checklist().check("answer is about the requested digests", code="subject-mismatch") as one:
        statement = parse_statement(parse_bundle(entry.bundle).envelope.payload)
        signed = sorted(subject.artifact.get("sha256", "") for subject in statement.subjects)
        asked = sorted(subject.sha256 for subject in wanted)
        one.require(signed == asked, expected=", ".join(asked), found=", ".join(signed))


def _result(
    parsed: Receipt,
    wanted: Sequence[Subject],
    *,
    later: Sequence[Finding],
    warnings: Sequence[str],
    kept: Mapping[str, Path | None],
    tags: Sequence[str],
    verified: bool,
    verify: str | None,
) -> Result:
    policy = parsed.policy
    environment = clean(parsed.environment)
    lines = [
        f"{colour('SIGNED', 'green')}  sha256:{short(subject.sha256)}  {clean(subject.name)} -> {environment}"
        for subject in wanted[:10]
    ]
    version = f"{clean(policy.name)} v{policy.version} ({short(policy.digest)})"
    lines.append(f" request {clean(parsed.request_id)}  policy {version}")
    lines.append(
        " the bundle and the receipt verify with the trust file"
        if verified
        else " not verified here: no trust file is configured (SIGNER_TRUST)"
    )
    names = {"oci_layout": "images", "artifact_signatures": "files"}
    lines += [f" {names.get(name, name):<8} {path}" for name, path in kept.items() if path is not None]
    lines += [f" tag      {tag}" for tag in tags]
    if not any(kept.values()):
        lines.append(" nothing was kept: pass --bundle FILE and --receipt FILE")
    lines += [f" {colour('i', 'yellow')} {clean(each.rule)}  {clean(each.title)}" for each in later]
    lines += warning_lines(warnings)
    if verify is not None:
        lines += [f" next     {verify} \\", f"            --subject sha256:{wanted[0].sha256}"]
    return Result(
        name="signed",
        members={
            "request_id": parsed.request_id,
            "environment": parsed.environment,
            "policy": {"name": policy.name, "version": policy.version, "digest": policy.digest},
            "subjects": [{"name": subject.name, "sha256": subject.sha256} for subject in wanted],
            "decision_leaf": parsed.decision.index,
            "outcome_leaf": parsed.outcome.index,
            **{name: None if path is None else str(path) for name, path in kept.items()},
            "tags": list(tags),
            "warnings": list(warnings),
            "shadow": [{"rule": each.rule, "would": each.would, "title": each.title} for each in later],
            "verified": verified,
        },
        story="\n".join(lines),
    )
