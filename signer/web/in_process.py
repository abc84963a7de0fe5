# SPDX-License-Identifier: Apache-2.0
"""The public listener asked without a network: what is published elsewhere is what it would have answered."""

from __future__ import annotations

from http import HTTPStatus

from werkzeug.test import Client

from signer.errors import Unavailable
from signer.formats.strict_json import parse_object
from signer.tlog.tiles import Tile
from signer.web.application import Application
from signer.web.public import create_public_app

MAX_PROBLEM = 64 * 1024


class PublicListener:
    """The application of the public listener, and beside it the entries, which it serves to nobody."""

    def __init__(self, application: Application) -> None:
        self._reader = application.reader
        self._client = Client(create_public_app(application))

    def get(self, path: str) -> bytes | None:
        """The body of the answer to GET `path`; None for 404. Raises Unavailable for any other answer but 200."""
        with self._client.get(path) as answer:
            match answer.status_code:
                case HTTPStatus.OK:
                    return answer.get_data()
                case HTTPStatus.NOT_FOUND:
                    return None
                case status:
                    problem = parse_object(answer.get_data(), limit=MAX_PROBLEM, what="problem")
                    raise Unavailable(
                        "ledger-unavailable", f"{path} is answered with {status}: {problem.get('detail')}"
                    )

    def entries(self, tile: Tile) -> bytes:
        """The bytes of one entry bundle, from the database."""
        return self._reader.entry_bundle(tile.n, tile.width)
