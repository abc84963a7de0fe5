# SPDX-License-Identifier: Apache-2.0
"""Is this worker able to serve a signature: database, guard, custodian, documents, certificate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from signer.custodian.commands import KeyProof, Status, StatusReport
from signer.errors import SignerError
from signer.formats.rfc3339 import parse_time
from signer.web.application import Application
from signer.web.ending import Endings, certificates, endings
from signer.web.expiry import look_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What was found; ready when no problem was. Numbers are None where nobody could be asked."""

    problems: tuple[str, ...]
    tree_size: int | None
    halted: bool | None
    keys_ready: int | None
    ends: Mapping[str, datetime]
    """When certificates and revocation lists end, by role."""
    documents: Endings
    warnings: tuple[str, ...]
    """What ends within 30 days."""
    proofs: tuple[KeyProof, ...] = ()
    """What each key that signs has proved."""

    @property
    def ready(self) -> bool:
        """Whether requests for signatures may be sent here."""
        return not self.problems

    def gauges(self) -> Iterable[tuple[str, str, float]]:
        """The same as metrics."""
        yield "signer_up", "1 when the authority can sign.", float(self.ready)
        for name, text, value in (
            ("signer_halted", "1 while all signing is halted.", self.halted),
            ("signer_log_tree_size", "Leaves in the ledger.", self.tree_size),
            ("signer_keys_ready", "Keys that a token has proved to hold.", self.keys_ready),
            ("signer_cert_expiry_timestamp_seconds", "End of the server certificate.", self._end("certificate")),
            (
                "signer_client_ca_expiry_timestamp_seconds",
                "First end of an authority of client certificates.",
                self._end("client_ca"),
            ),
            (
                "signer_crl_next_update_timestamp_seconds",
                "First time after which a revocation list lets nobody in.",
                self._end("crl"),
            ),
            (
                "signer_policy_expiry_timestamp_seconds",
                "First end of a policy in force.",
                min((end.timestamp() for _, end in self.documents.policies), default=None),
            ),
            (
                "signer_waiver_expiry_timestamp_seconds",
                "First end of a waiver that stands.",
                min((end.timestamp() for _, end in self.documents.waivers), default=None),
            ),
        ):
            if value is not None:
                yield name, text, float(value)

    def key_gauges(self) -> Iterable[tuple[str, str, Mapping[str, float]]]:
        """What the keys have proved, as metrics by the names that they have in the settings."""
        proved = {each.name: parse_time(each.proved, what="proof").timestamp() for each in self.proofs if each.proved}
        probes = {each.name: float(each.probes) for each in self.proofs}
        failed = {each.name: float(each.failed) for each in self.proofs}
        yield (
            "signer_key_proved_timestamp_seconds",
            "Last verified signature of a key, of a request or a probe.",
            proved,
        )
        yield "signer_key_probes", "Probes of a key since the custodian started.", probes
        yield "signer_key_probes_failed", "How many of them did not end with a verified signature.", failed

    def _end(self, role: str) -> float | None:
        return self.ends[role].timestamp() if role in self.ends else None


def look(application: Application) -> Readiness:
    """Look at everything now; whatever raises is a problem, named by its code alone."""
    problems: list[str] = []
    tree_size = published = None
    report: StatusReport | None = None
    try:
        tree_size = application.reader.head().size
        application.documents.access()
    except SignerError as fault:
        problems.append(f"ledger: {fault.code}: {fault.detail}")
    try:
        published = application.guard.read()
    except SignerError as fault:
        problems.append(f"guard: {fault.code}: {fault.detail}")
    if tree_size is not None and published is not None and published.size > tree_size:
        problems.append("ledger: the database is older than the published checkpoint: restore it")
    try:
        reply = application.custodian.ask(Status())
    except SignerError as fault:
        problems.append(f"custodian: {fault.code}: {fault.detail}")
    else:
        if isinstance(reply, StatusReport):
            report = reply
            problems += [f"custodian: {problem}" for problem in reply.problems]
            if not reply.ready and not reply.problems:
                problems.append("custodian: not ready")
        else:
            problems.append("custodian: it answered another question")
    now = application.clock()
    ends = look_at(application.tls, now=now)
    documents = endings(application)
    return Readiness(
        problems=(*problems, *ends.problems),
        tree_size=tree_size,
        halted=None if report is None else report.halted,
        keys_ready=None if report is None else sum(ready for _, ready in report.keys),
        ends=ends.times,
        documents=documents,
        warnings=(*documents.soon(now), *certificates(ends.times, now=now)),
        proofs=() if report is None else report.proofs,
    )
