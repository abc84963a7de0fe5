# SPDX-License-Identifier: Apache-2.0
"""What ends within 30 days: policies, waivers, TLS files; told on every way out long before it denies.

`Signer-Warning` beside an answer names the policy that it was judged under. It is a header, since the body of an answer
is replayed byte for byte, and by then the warning may be another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import Response

from policy.document import SOON, Policy
from policy.wording import moment
from signer.errors import SignerError
from signer.formats.waiver import parse_waiver
from signer.web.application import Application

HEADER = "Signer-Warning"


@dataclass(frozen=True, slots=True)
class Endings:
    """What ends by itself among what is in force now."""

    policies: tuple[tuple[str, datetime], ...]
    """Each policy with an end, as a person calls it."""
    waivers: tuple[tuple[str, datetime], ...]
    """Each waiver that stands, as a person calls it."""

    def soon(self, now: datetime) -> Iterator[str]:
        """A sentence for each end within 30 days; a policy that is past its end is told as well."""
        for what, end in (*self.policies, *self.waivers):
            if now + SOON >= end:
                yield sentence(what, end, now=now)


def sentence(what: str, end: datetime, *, now: datetime) -> str:
    """One end in words; ASCII without a comma, so that it can stand in a header."""
    return f"{what} {'expired' if now >= end else 'expires'} at {moment(end)}"


def endings(application: Application) -> Endings:
    """Look at what is in force; what cannot be read is a problem of readiness, and tells nothing here."""
    now = application.clock()
    policies: list[tuple[str, datetime]] = []
    waivers: list[tuple[str, datetime]] = []
    try:
        for active in application.reader.active_all("policy"):
            found = application.documents.policy(active.name)
            if found is not None and found.policy.expires is not None:
                policies.append((_named(found.policy), found.policy.expires))
        for row in application.reader.waivers():
            end = parse_waiver(row.statement).expires
            if row.end is None and now < end:
                waivers.append((f"waiver sha256:{row.digest[:12]} of policy {row.policy}", end))
    except SignerError:
        return Endings((), ())
    return Endings(tuple(policies), tuple(waivers))


def warned(response: Response, policy: Policy, *, now: datetime) -> Response:
    """The answer, with a word on the policy that it was judged under where that ends soon."""
    if policy.expires is not None and now + SOON >= policy.expires:
        response.headers[HEADER] = sentence(_named(policy), policy.expires, now=now)
    return response


def certificates(ends: Mapping[str, datetime], *, now: datetime) -> Iterator[str]:
    """A sentence for each TLS file that ends within 30 days; past its end it is a problem."""
    for role, end in ends.items():
        if role != "crl" and now < end <= now + SOON:
            yield sentence(_ROLES[role], end, now=now)


_ROLES = {"certificate": "the server certificate", "client_ca": "an authority of client certificates"}


def _named(policy: Policy) -> str:
    return f"policy {policy.name} v{policy.version}"
