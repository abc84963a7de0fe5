# SPDX-License-Identifier: Apache-2.0
"""One table of every route: on which listeners it stands, and who may ask it. A route that is not here fails a test.

`who` is `everybody` (no certificate is read), `known` (any principal of the access document; the answer holds what that
principal may read), or the actions of which one must be granted. `scope` says how far that grant has to reach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests import approvals
from tests.unit.web.world import ACCESS, World, encoded, item, render_policy
from tests.waivers import signed, waiver

EVERYBODY, KNOWN = "everybody", "known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Who reaches one route, and a request of it that is good."""

    who: str
    listeners: str = "callers"
    path: str = ""
    """Of the good request; that of the route when empty. `{request}`, `{sha256}` and `{hold}` name what is kept."""
    body: Callable[[World], Mapping[str, Any]] = lambda _world: {}
    octets: bytes = b""
    """The body, where it is not JSON."""


def _kept(world: World) -> Mapping[str, Any]:
    return {"policy": "demo", "evidence": [item(world.attestations()["tests"])]}


TABLE: Mapping[str, Guard] = {
    "GET /.well-known/jwks.json": Guard(who=EVERYBODY, listeners="callers public"),
    "GET /checkpoint": Guard(who=EVERYBODY, listeners="callers public"),
    "GET /livez": Guard(who=EVERYBODY, listeners="callers operations"),
    "GET /metrics": Guard(who=EVERYBODY, listeners="operations"),
    "GET /openapi.json": Guard(who=EVERYBODY, listeners="callers public"),
    "GET /readyz": Guard(who=EVERYBODY, listeners="callers operations"),
    "GET /tile/<string:level>/<path:number>": Guard(who=EVERYBODY, listeners="callers public"),
    "GET /tile/entries/<path:number>": Guard(who="read audit", path="/tile/entries/000.p/2"),
    "GET /v1/access": Guard(who="policy audit"),
    "GET /v1/approvals": Guard(who=KNOWN),
    "GET /v1/decisions": Guard(who=KNOWN),
    "GET /v1/decisions/<string:request>": Guard(who="read audit", path="/v1/decisions/{request}"),
    "GET /v1/decisions/records": Guard(who="audit", path="/v1/decisions/records?policy=demo"),
    "GET /v1/deployments": Guard(who=KNOWN),
    "GET /v1/evidence/<string:sha256>": Guard(who="read audit", path="/v1/evidence/{sha256}"),
    "GET /v1/holds/<string:request>": Guard(who="approve read audit sign", path="/v1/holds/{hold}"),
    "GET /v1/keys": Guard(who=EVERYBODY, listeners="callers public"),
    "GET /v1/keys/<string:kid>.pem": Guard(who=EVERYBODY, listeners="callers public"),
    "GET /v1/policies": Guard(who=KNOWN),
    "GET /v1/policies/<string:name>/shadow": Guard(who="policy audit", path="/v1/policies/demo/shadow"),
    "GET /v1/findings": Guard(who=KNOWN),
    "GET /v1/releases/<string:sha256>": Guard(who="read audit", path=f"/v1/releases/{'9c' * 32}"),
    "GET /v1/releases/<string:sha256>/pack": Guard(who="audit", path=f"/v1/releases/{'9c' * 32}/pack"),
    "GET /v1/revocations": Guard(who=EVERYBODY, listeners="callers public"),
    "GET /v1/trust": Guard(who=EVERYBODY, listeners="callers public"),
    "GET /v1/trusted_root.json": Guard(who=EVERYBODY, listeners="callers public"),
    "GET /v1/uploads": Guard(who="evidence"),
    "GET /v1/waivers": Guard(who=KNOWN),
    "POST /v1/access": Guard(
        who="policy", body=lambda _world: {"document": encoded(ACCESS.encode()), "signatures": [encoded(b"{}")]}
    ),
    "POST /v1/approvals": Guard(who="approve", body=lambda _world: {"approval": encoded(approvals.an_approval())}),
    "POST /v1/approvals/<string:digest>/revoke": Guard(
        who="approve", path=f"/v1/approvals/{'ab' * 32}/revoke", body=lambda _world: {"reason": "a mistake"}
    ),
    "POST /v1/checks": Guard(who="check", body=lambda world: world.body()),
    "POST /v1/deployments": Guard(
        who="deploy",
        body=lambda _world: {"policy": "demo", "environment": "release", "reference": "registry.example/shop:1.2"},
    ),
    "POST /v1/evidence": Guard(who="evidence", body=_kept),
    "POST /v1/halt": Guard(who="halt", body=lambda _world: {"reason": "drill"}),
    "POST /v1/policies": Guard(
        who="policy",
        body=lambda world: {"document": encoded(render_policy(world.keys)), "signatures": [encoded(b"{}")]},
    ),
    "POST /v1/resume": Guard(who="halt", body=lambda _world: {"halt_index": 1, "signatures": [encoded(b"{}")]}),
    "POST /v1/revocations": Guard(
        who="revoke",
        body=lambda _world: {
            "digest": f"sha256:{'9c' * 32}",
            "policy": "demo",
            "environment": "release",
            "reason": "backdoor found",
        },
    ),
    "POST /v1/signatures": Guard(who="sign", body=lambda world: world.body()),
    "POST /v1/uploads": Guard(who="evidence", octets=bytes(1024)),
    "POST /v1/waivers": Guard(who="waive", body=lambda _world: {"waiver": encoded(signed(waiver()))}),
    "POST /v1/waivers/<string:digest>/end": Guard(
        who="waive", path=f"/v1/waivers/{'ab' * 32}/end", body=lambda _world: {"reason": "mended"}
    ),
}
