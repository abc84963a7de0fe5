# SPDX-License-Identifier: Apache-2.0
"""Every error to its exit code, in this one place. The codes are API.

0 done or allowed · 1 unexpected · 2 usage · 3 verification failed · 4 not authorised · 10 denied
11 waiting for approval · 12 evidence missing or unverifiable · 13 frozen or halted
20 could not decide, retry · 78 bad configuration
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import click

from signer.cli.denial import render_decision
from signer.cli.output import Result, clean, colour
from signer.cli.todo import render_todo
from signer.client.problem import Answered, Problem
from signer.errors import Malformed, Misconfigured, Refused, SignerError, Unavailable
from signer.verify.checks import CheckFailed, render_failure

NAMES: Mapping[int, str] = {
    1: "error",
    2: "usage",
    3: "verification-failed",
    4: "not-authorised",
    10: "denied",
    11: "waiting",
    12: "evidence-missing",
    13: "halted",
    20: "undecided",
    78: "misconfigured",
}
"""Exit code -> the `result` of the JSON object."""

_FAMILIES: tuple[tuple[type[BaseException], int], ...] = (
    (CheckFailed, 3),
    (Malformed, 2),
    (Refused, 4),
    (Unavailable, 20),
    (Misconfigured, 78),
    (click.ClickException, 2),
)
"""Error -> exit code, the first that fits; what is not here is unexpected."""

_STATUS: Mapping[int, int] = {
    202: 11,
    400: 2,
    401: 4,
    403: 4,
    404: 4,
    405: 2,
    409: 2,
    413: 2,
    414: 2,
    415: 2,
    422: 2,
    423: 13,
    429: 20,
    431: 2,
}
"""HTTP status of an answer that was not judged -> exit code; 5xx is 20."""

_JUDGED: Mapping[int, int] = {202: 11, 403: 10, 409: 12, 423: 13}
"""HTTP status of a judged answer -> exit code."""

_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})


def result_of(fault: BaseException, *, debug: bool) -> Result:
    """The result that an error stands for."""
    if debug:
        traceback.print_exception(fault)
    if isinstance(fault, SystemExit):
        return Result.silent(exit_code(fault))
    code = exit_code(fault)
    error = _error(fault)
    members: dict[str, Any] = {"error": error}
    story = _lines(error)
    if isinstance(fault, CheckFailed):
        members["checks"] = fault.report()
        story = render_failure(fault, paint=colour)
    if isinstance(fault, Answered):
        members["problem"] = dict(fault.problem.document)
        members["request_id"] = fault.problem.request_id
        if fault.problem.decision is not None:
            members["decision"] = dict(fault.problem.decision)
        story = _answered(fault.problem, story)
    name = "frozen" if isinstance(fault, Answered) and fault.problem.code == "frozen" else NAMES.get(code, "error")
    return Result(name=name, code=code, members=members, story=story)


def exit_code(fault: BaseException) -> int:
    """The exit code of an error."""
    match fault:
        case Answered(problem=problem):
            return _answer_code(problem)
        case SystemExit(code=int(code)):
            return code
        case SystemExit(code=None):
            return 0
        case OSError(errno=number, filename=str() | bytes() | PurePath()) if number not in _TROUBLE:
            return 2  # a file that the caller named
        case _:
            return next((code for kind, code in _FAMILIES if isinstance(fault, kind)), 1)


def _answer_code(problem: Problem) -> int:
    """One precedence, as the design's table has it."""
    if problem.decision is not None and problem.status in _JUDGED:
        return _JUDGED[problem.status]
    if problem.code == "outcome-unknown" or problem.status >= 500:  # noqa: PLR2004 - the server's class of answers
        return 20
    code = _STATUS.get(problem.status, 1)
    return 12 if code == _STATUS[422] and problem.about_evidence else code


def _error(fault: BaseException) -> dict[str, str]:
    match fault:
        case SignerError(code=code, detail=detail, remedy=remedy):
            return {"code": code, "detail": detail, "remedy": remedy}
        case click.ClickException():
            context = fault.ctx if isinstance(fault, click.UsageError) else None
            hint = f"{context.command_path} --help" if context is not None else "signer --help"
            return {"code": "usage", "detail": fault.format_message(), "remedy": hint}
        case OSError(filename=None):
            return {"code": "system-error", "detail": fault.strerror or type(fault).__name__, "remedy": ""}
        case OSError():
            detail = f"{fault.filename}: {fault.strerror or type(fault).__name__}"
            return {"code": "file-error", "detail": detail, "remedy": "check the path and its permissions"}
        case KeyboardInterrupt() | click.Abort():
            return {"code": "interrupted", "detail": "interrupted", "remedy": ""}
        case _:
            # The type alone: the text of an unexpected error may hold anything, a secret included.
            hint = "set SIGNER_DEBUG=1 to see where, and report it"
            return {"code": "unexpected", "detail": f"unexpected {type(fault).__name__}", "remedy": hint}


def _answered(problem: Problem, story: str) -> str:
    if problem.decision is not None:
        # Without a leaf it was a check.
        render = render_decision if problem.decision.get("leaf") is not None else render_todo
        return render(problem.decision, paint=colour)
    lines = [story]
    lines += [
        f"    {name:<9}{clean(str(violation[name]))}"
        for violation in problem.violations
        for name in ("rule", "required", "found", "remedy")
        if violation.get(name)
    ]
    if problem.request_id:
        lines.append(f"    request  {clean(problem.request_id)}")
    return "\n".join(lines)


def _lines(error: Mapping[str, str]) -> str:
    text = f"{colour('signer', 'red')}: {clean(error['detail'])} [{clean(error['code'])}]"
    return f"{text}\n  hint: {clean(error['remedy'])}" if error["remedy"] else text
