# SPDX-License-Identifier: Apache-2.0
"""One table from code to status: complete, and nothing of ours leaks through it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.exceptions import HTTPException, RequestTimeout, default_exceptions

import signer
from signer.errors import Malformed, Misconfigured, Refused, SignerError, Unavailable
from signer.web.problems import PREFIX, RETRYABLE, STATUS, Problem, problem_of, problem_of_http

ROOMS = ("domain", "formats", "identity", "evidence", "keys", "tlog", "ledger", "db", "custodian", "web")
"""The rooms whose errors may reach an answer."""
FAMILIES = {"Malformed", "Refused", "Unavailable"}
START_UP = {"Misconfigured"}
"""Ends a process, or is answered as not-ready: its codes are for the operator."""


def raised(tree: ast.AST) -> Iterator[str]:
    """Codes of errors built from a literal, a default or a constant named for it."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(code)), *_]) if name in FAMILIES:
                yield code
            case ast.Call(func=ast.Name(id=name)) if name in START_UP:
                continue
            case ast.keyword(arg="code", value=ast.Constant(value=str(code))) if code:
                yield code
            case ast.Assign(targets=[ast.Name(id="code" | "_CODE")], value=value):
                yield from (each.value for each in ast.walk(value) if is_slug(each))  # type: ignore[attr-defined]  # is_slug looked at the node's type
            case ast.arguments():
                named = zip(node.kwonlyargs, node.kw_defaults, strict=True)
                yield from (default.value for arg, default in named if arg.arg == "code" and is_slug(default))  # type: ignore[union-attr]  # is_slug looked at the node's type
            case _:
                pass


def is_slug(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and "-" in node.value


def test_the_table_has_every_code_that_may_reach_an_answer() -> None:
    house = Path(signer.__file__).parent
    codes = {
        (code, path.relative_to(house).as_posix())
        for room in ROOMS
        for path in (house / room).rglob("*.py")
        for code in raised(ast.parse(path.read_text("utf-8")))
    }
    assert len(codes) > 80
    assert sorted((code, path) for code, path in codes if code not in STATUS) == []


def test_codes_are_slugs_and_statuses_are_errors_or_the_one_hold() -> None:
    assert [code for code in STATUS if re.fullmatch(r"[a-z]+(-[a-z]+)*", code) is None] == []
    assert {status for status in STATUS.values() if status < 400} == {STATUS["waiting-for-approval"]}


def test_a_code_that_the_table_lacks_falls_to_its_family() -> None:
    for family, status in ((Malformed, 400), (Refused, 403), (Unavailable, 503)):
        assert problem_of(family("of-tomorrow", "d"), request_id="r").http_status == status
    assert problem_of(SignerError("of-tomorrow", "d"), request_id="r").http_status == 500


def test_what_the_operator_must_read_stays_in_the_log() -> None:
    problem = problem_of(Misconfigured("guard-damaged", "/var/lib/signer/guard", remedy="restore"), request_id="r")
    assert (problem.code, problem.http_status) == ("not-ready", 503)
    assert b"/var/lib" not in problem.body()


@pytest.mark.parametrize("status", sorted(default_exceptions))
def test_what_flask_raises_by_itself_is_a_problem_without_its_text(status: int) -> None:
    error: HTTPException = default_exceptions[status]("canary")
    problem = problem_of_http(error, request_id="r")
    assert b"canary" not in problem.body()
    assert problem.http_status == (status if status in {404, 405, 413, 415} else 400 if status < 500 else 500)


def test_a_timeout_of_the_client_is_the_clients() -> None:
    assert problem_of_http(RequestTimeout(), request_id="r").http_status == 400


def test_a_problem_is_canonical_and_says_whether_to_try_again() -> None:
    for status in (202, 400, 403, 404, 409, 422, 423, 429, 500, 503):
        document = json.loads(Problem("x", "d", status=status).body())
        assert document["retryable"] is (status in RETRYABLE)
    assert (
        Problem("over-quota", "détail", remedy="wait", request_id="r").body()
        == (
            '{"detail":"détail","remedy":"wait","request_id":"r","retryable":true,"status":429,"title":"Over quota",'
            f'"type":"{PREFIX}over-quota","violations":[]}}'
        ).encode()
    )
