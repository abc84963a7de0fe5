# SPDX-License-Identifier: Apache-2.0
"""flask-smorest behind types: a blueprint whose views are also its OpenAPI document.

The library ships no types and its decorators erase those of a view; everything untyped about it is in this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias

import flask_smorest
import marshmallow as ma
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from signer.web.body import StrictParser
from signer.web.problems import MEDIA_TYPE

View: TypeAlias = Callable[..., Response]
Schema: TypeAlias = Mapping[str, Any]
"""A JSON Schema (OpenAPI 3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of a view, for the document."""

    status: int = 200
    media_type: str = "application/json"
    schema: Schema = field(default_factory=dict)
    description: str = ""


class Resource:
    """One resource: its routes, and what they read and answer."""

    def __init__(self, name: str, description: str) -> None:
        self.blueprint = _Blueprint(name, name, description=description)

    def get(self, rule: str, *answers: Answer, query: type[ma.Schema] | None = None) -> Callable[[View], View]:
        """Register a GET view; `query` reads its parameters."""
        return self._route(rule, "GET", answers, reads=query, location="query", parameters=())

    def post(
        self, rule: str, *answers: Answer, body: type[ma.Schema], headers: tuple[Schema, ...] = ()
    ) -> Callable[[View], View]:
        """Register a POST view; `body` reads its JSON body, `headers` are OpenAPI parameters."""
        return self._route(rule, "POST", answers, reads=body, location="json", parameters=headers)

    def receive(self, rule: str, *answers: Answer, media_type: str) -> Callable[[View], View]:
        """Register a POST view that reads its own body, which may be larger than memory allows."""
        body = {"required": True, "content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}
        register = self._route(rule, "POST", answers, reads=None, location="", parameters=())
        return lambda view: register(self.blueprint.doc(requestBody=body)(view))

    def _route(
        self,
        rule: str,
        method: str,
        answers: tuple[Answer, ...],
        *,
        reads: type[ma.Schema] | None,
        location: str,
        parameters: tuple[Schema, ...],
    ) -> Callable[[View], View]:
        def register(view: View) -> View:
            documented: Any = view
            for place, answer in enumerate(answers):
                # Views answer bytes: a schema given here documents and never serialises.
                describe = self.blueprint.alt_response if place else self.blueprint.response
                documented = describe(
                    answer.status,
                    schema=dict(answer.schema),
                    content_type=answer.media_type,
                    description=answer.description or HTTPStatus(answer.status).phrase,
                )(documented)
            if reads is not None:
                documented = self.blueprint.arguments(reads(), location=location)(documented)
            self.blueprint.route(rule, methods=[method], parameters=[dict(each) for each in parameters])(documented)
            return view

        return register


def fresh(response: Response) -> Response:
    """An answer open to all that may be kept for a minute, and is asked for again by its ETag (RFC 9110, 13.1.2)."""
    response.headers["Cache-Control"] = "public, max-age=60"
    response.add_etag()
    response.make_conditional(request)  # turns this very answer into a 304
    return response


class Problem(ma.Schema):
    """A problem document (RFC 9457)."""

    type = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    status = ma.fields.Integer(required=True)
    detail = ma.fields.String(required=True)
    retryable = ma.fields.Boolean(required=True)
    request_id = ma.fields.String()
    remedy = ma.fields.String()


class Api(flask_smorest.Api):  # type: ignore[misc]  # the library ships no types
    """The OpenAPI 3.1 document; `answer` turns werkzeug's errors into problems."""

    # Error answers take this type; every other answer names its own.
    DEFAULT_RESPONSE_CONTENT_TYPE = MEDIA_TYPE
    ERROR_SCHEMA = Problem

    def __init__(self, app: Flask, *, title: str, version: str, answer: Callable[[HTTPException], Response]) -> None:
        self._answer = answer
        super().__init__(app, spec_kwargs={"title": title, "version": version, "openapi_version": "3.1.0"})

    def handle_http_exception(self, error: HTTPException) -> Response:
        """Answer by our own problem table."""
        return self._answer(error)


class _Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # the library ships no types
    ARGUMENTS_PARSER = StrictParser()
