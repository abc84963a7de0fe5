# SPDX-License-Identifier: Apache-2.0
"""Bounded, strict reading of requests (signing cycle, step 0).

flask-smorest reads arguments through the parser of this module, so that no view can reach a body that the one
JSON loader has not seen. The cap counts decoded bytes, whether the body came with a length or in chunks.
"""

from __future__ import annotations

from typing import Any, NoReturn

import marshmallow as ma
from flask import Request
from gunicorn.http.errors import ParseException
from webargs.flaskparser import FlaskParser

from signer.errors import Malformed
from signer.formats.strict_json import parse_object

MAX_VALUES = 150_000
"""Values in one body at most; a request of a thousand subjects and 64 documents about all of them has half as many."""
_MAX_TOLD = 5


class StrictParser(FlaskParser):
    """Arguments of a request: JSON by the strict loader, each query parameter once, nothing unknown."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION = {"json": None, "query": None}  # noqa: RUF012 - webargs' own shape; None: the schema's

    def load_json(self, req: Request, schema: ma.Schema) -> Any:  # noqa: ARG002 - the signature is webargs'
        """The body as an object; raises Malformed."""
        # werkzeug cuts a chunked body off without a word, one byte beyond our cap: the loader sees that byte.
        data = read_body(req)
        # Counted before parsing: a megabyte of `{},` would become fifty of objects. Commas in text count as well, and a
        # body of fewer bytes cannot hold as many values.
        if len(data) > MAX_VALUES and sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
            raise Malformed("too-large", f"the body holds more than {MAX_VALUES} values", remedy="send less")
        return parse_object(data, limit=body_limit(req))

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:  # noqa: ARG002 - the signature is webargs'
        """The query parameters; raises Malformed when one stands twice."""
        for name, given in req.args.lists():
            if len(given) != 1:
                raise Malformed("malformed-request", f"the query parameter {name[:64]!a} stands more than once")
        return req.args.to_dict()

    def handle_error(
        self,
        error: ma.ValidationError,
        req: Request,  # noqa: ARG002 - the signature is webargs'
        schema: ma.Schema,
        *,
        error_status_code: int | None,  # noqa: ARG002 - the library's signature
        error_headers: Any,  # noqa: ARG002 - the library's signature
    ) -> NoReturn:
        """Refuse what the schema refuses, naming the first few faults."""
        faults = list(_faults(error.messages, ()))
        told = "; ".join(faults[:_MAX_TOLD])
        more = f"; and {len(faults) - _MAX_TOLD} more" if len(faults) > _MAX_TOLD else ""
        raise Malformed(
            "malformed-request",
            f"{told}{more}",
            remedy=f"see {type(schema).__name__.lstrip('_')} in /openapi.json",
        )


def body_limit(request: Request) -> int:
    """The application's cap; werkzeug is told one byte more."""
    limit = request.max_content_length
    assert limit is not None, "create_app sets the cap"
    return limit - 1


def read_body(request: Request) -> bytes:
    """The raw body, or its beginning when it is longer than the cap; raises Malformed."""
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None:
        raise Malformed(
            "unsupported-media-type", "a body with a Content-Encoding is not accepted", remedy="send it as it is"
        )
    parameters = request.mimetype_params
    if request.mimetype != "application/json" or parameters.get("charset", "utf-8").lower() != "utf-8":
        raise Malformed(
            "unsupported-media-type", "the body must be application/json in UTF-8", remedy="set Content-Type"
        )
    try:
        return request.get_data(cache=True)
    except ParseException:
        raise Malformed(
            "malformed-request", "the body has no unambiguous end", remedy="send RFC 9112 chunks, or a length"
        ) from None


def _faults(messages: Any, path: tuple[str, ...]) -> Any:
    """The leaves of marshmallow's messages as `path: message`, the path in printable ASCII."""
    if isinstance(messages, dict):
        for name, below in messages.items():
            yield from _faults(below, (*path, ascii(str(name)[:64])[1:-1]))
    else:
        for message in messages:
            yield f"{'.'.join(path)}: {message}"
