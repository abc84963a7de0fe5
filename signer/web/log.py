# SPDX-License-Identifier: Apache-2.0
"""The ledger as a log to read (c2sp.org/tlog-tiles): checkpoint, hash tiles, entry bundles.

    /checkpoint                     the signed head, as the guard holds it
    /tile/<L>/<N>[.p/<W>]           hashes; open to all
    /tile/entries/<N>[.p/<W>]       entries; with a grant that reads every policy

Nothing beyond the guard's checkpoint is served: what the database holds in advance may still be lost with it.
"""

from __future__ import annotations

from flask import Blueprint, Response

from signer.errors import Malformed, Misconfigured, Unavailable
from signer.tlog.checkpoint import Checkpoint
from signer.tlog.tiles import Tile, parse_tile_path, tile_width
from signer.web.admission import absent, caller
from signer.web.application import Application
from signer.web.resource import Answer, Resource

_IMMUTABLE = "public, max-age=31536000, immutable"
_OCTETS = "application/octet-stream"


def log(application: Application) -> Blueprint:
    """The checkpoint and the hash tiles."""
    resource = Resource("log", "The ledger's checkpoint and tiles.")

    @resource.get("/checkpoint", Answer(media_type="text/plain", schema={"type": "string"}))
    def checkpoint() -> Response:
        """Serve the published checkpoint, a signed note."""
        text = _published_text(application)
        if text is None:
            raise absent()
        response = Response(text, mimetype="text/plain")
        response.headers["Cache-Control"] = "no-cache"
        return response

    @resource.get("/tile/<string:level>/<path:number>", Answer(media_type=_OCTETS))
    def hash_tile(level: str, number: str) -> Response:
        """Serve one tile of hashes."""
        tile = _tile(application, f"tile/{level}/{number}")
        if tile.level is None:
            raise absent()
        return _immutable(application.reader.hash_tile(tile.level, tile.n, tile.width))

    return resource.blueprint


def entries(application: Application) -> Blueprint:
    """The entry bundles."""
    resource = Resource("entries", "The ledger's entries.")

    @resource.get("/tile/entries/<path:number>", Answer(media_type=_OCTETS))
    def entry_bundle(number: str) -> Response:
        """Serve one bundle of entries; they tell of every policy, so a grant for some is not enough."""
        # The empty name is reached by a grant for all policies alone.
        caller().require("read", policy="")
        tile = _tile(application, f"tile/entries/{number}")
        return _immutable(application.reader.entry_bundle(tile.n, tile.width))

    return resource.blueprint


def _tile(application: Application, path: str) -> Tile:
    """The tile of a path, as far as the published tree has it; raises Refused("not-found")."""
    published = _published(application)
    try:
        tile = parse_tile_path(path)
    except Malformed:
        raise absent() from None
    if published is None or tile_width(published.size, level=tile.level or 0, n=tile.n) < tile.width:
        raise absent()
    return tile


def _published(application: Application) -> Checkpoint | None:
    try:
        return application.guard.read()
    except Misconfigured as fault:
        raise _unreadable(fault) from None


def _published_text(application: Application) -> str | None:
    try:
        return application.guard.text()
    except Misconfigured as fault:
        raise _unreadable(fault) from None


def _unreadable(fault: Misconfigured) -> Unavailable:
    return Unavailable("ledger-unavailable", f"the published checkpoint cannot be read ({fault.code})")


def _immutable(data: bytes) -> Response:
    response = Response(data, mimetype=_OCTETS)
    response.headers["Cache-Control"] = _IMMUTABLE
    return response
