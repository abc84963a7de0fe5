# SPDX-License-Identifier: Apache-2.0
"""What happens to every request before its view, and to every answer after it.

    0  bound: no identity header, no body beyond the cap
    1  authenticate: certificate → SAN → Principal of the access document in force; then its quota of requests

A body is read and parsed only after step 1, so an unknown certificate costs no parse. The resources in `open_to_all`
serve what is public anyway and skip step 1.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge

from signer.domain.principal import Principal
from signer.errors import Misconfigured, Refused, SignerError, Unavailable
from signer.identity.access import Access
from signer.telemetry.logs import failure
from signer.web.application import Application
from signer.web.peer import check_headers
from signer.web.problems import MEDIA_TYPE, Problem, internal, problem_of, problem_of_http

STREAMED = frozenset({"uploads"})
"""Resources whose bodies go to the spool and never stand in memory as a whole: the spool's limit is theirs."""

_METHODS = frozenset({"GET", "HEAD", "POST"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and the access document by which that was decided."""

    principal: Principal
    access: Access

    def require(self, action: str, *, policy: str | None = None) -> None:
        """Raise Refused("not-authorised") unless a grant allows this; for what is no secret that it exists."""
        if not self.allows(action, policy=policy):
            raise Refused(
                "not-authorised",
                f"no grant of this caller allows {action} here",
                remedy="ask the security team for the grant in the access document",
            )

    def allows(self, action: str, *, policy: str | None = None, environment: str | None = None) -> bool:
        """Whether the caller may do this; None leaves a dimension open."""
        return self.access.allows(self.principal, action=action, policy=policy, environment=environment)


def caller() -> Caller:
    """The authenticated caller of the current request."""
    found = g.caller
    assert isinstance(found, Caller), "only open_to_all resources have no caller, and they ask for none"
    return found


def request_id() -> str:
    """128 random bits that name the current request in answers, log and ledger."""
    return str(g.request_id)


def identify(application: Application) -> Caller:
    """Authenticate the current request (step 1); raises Refused."""
    san = application.peer(request.environ)
    access = application.documents.access()
    principal = access.principal(san)
    if principal is None:
        raise Refused(
            "not-authorised",
            "the access document does not know this certificate",
            remedy="ask the security team to list the certificate's URI SAN in the access document",
        )
    return Caller(principal, access)


def out_of_reach() -> Refused:
    """The one answer for what does not exist and for what this caller may not see."""
    return Refused(
        "not-found",
        "this caller can reach no policy, environment, repository or record of that name",
        remedy="check the names, and the caller's grants in the access document",
    )


def absent() -> Refused:
    """The answer for a public thing that does not exist."""
    return Refused("not-found", "there is nothing here", remedy="see /openapi.json")


def admit(app: Flask, application: Application, *, open_to_all: frozenset[str]) -> None:
    """Install steps 0 and 1, the error answers and the access log."""
    app.before_request(partial(_enter, application, open_to_all))
    app.after_request(partial(_leave, application))
    app.register_error_handler(SignerError, partial(_answer_error, application))
    app.register_error_handler(HTTPException, answer_http_error)
    app.register_error_handler(Exception, partial(_answer_fault, application))


def _enter(application: Application, open_to_all: frozenset[str]) -> None:
    g.request_id = application.new_request_id()
    g.begun = time.perf_counter()
    g.code = ""
    g.caller = None
    # 0 bound
    if request.environ["PATH_INFO"].startswith("//"):
        # werkzeug would match it like one slash; a path has one spelling.
        raise NotFound
    check_headers(request.headers.keys())
    limit = application.body_limit
    if request.blueprint in STREAMED and application.spool is not None:
        limit = application.spool.limit
    if request.content_length is not None and request.content_length > limit:
        raise RequestEntityTooLarge
    # 1 authenticate
    if request.blueprint is None or request.blueprint in open_to_all:
        return
    found = g.caller = identify(application)
    application.quotas.take_request(found.principal, found.access.quota(found.principal))


def _leave(application: Application, response: Response) -> Response:
    response.headers["Request-Id"] = request_id()
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    _record(application, response)
    return response


def _answer_error(application: Application, error: SignerError) -> Response:
    if isinstance(error, Misconfigured):
        application.log.error("misconfigured", request_id=request_id(), code=error.code, detail=error.detail)
    response = answer_problem(problem_of(error, request_id=request_id()))
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    if response.status_code == 401:  # noqa: PLR2004 - RFC 9110 §15.5.2 asks for the header
        response.headers["WWW-Authenticate"] = "Client-Certificate"
    return response


def _answer_fault(application: Application, error: Exception) -> Response:
    application.log.error("request failed", request_id=request_id(), route=_route(), **failure(error))
    return answer_problem(internal(request_id=request_id()))


def answer_http_error(error: HTTPException) -> Response:
    """The answer for what Flask and werkzeug raise by themselves; 405 keeps its Allow header."""
    response = answer_problem(problem_of_http(error, request_id=request_id()))
    allow = error.get_response().headers.get("Allow")
    if allow is not None:
        response.headers["Allow"] = allow
    return response


def answer_problem(problem: Problem) -> Response:
    """A problem as a response; its code is counted and logged."""
    g.code = problem.code
    body = problem.body()
    return Response(body, status=problem.http_status, mimetype=MEDIA_TYPE)


def _record(application: Application, response: Response) -> None:
    seconds = time.perf_counter() - g.begun
    route, method = _route(), request.method if request.method in _METHODS else "other"
    application.metrics.requests.labels(route, method, str(response.status_code)).inc()
    application.metrics.request_seconds.labels(route).observe(seconds)
    if g.code:
        application.metrics.problems.labels(g.code).inc()
    application.log.info(
        "request",
        request_id=request_id(),
        route=route,
        method=method,
        status=response.status_code,
        code=g.code or None,
        milliseconds=round(seconds * 1000, 3),
        principal=g.caller.principal.id if g.caller is not None else None,
        peer=request.remote_addr,
    )


def _route() -> str:
    """The rule that matched, never the caller's path."""
    return request.url_rule.rule if request.url_rule is not None else "none"
