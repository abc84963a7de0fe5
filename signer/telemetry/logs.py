# SPDX-License-Identifier: Apache-2.0
"""Diagnostic and access logs: one JSON object per line, fields by allow-list (invariants I6 and I8).

    {"event":"request","level":"info","room":"web","route":"/v1/checks","status":200,"time":"2026-11-23T10:00:00.000001Z"}

A field that is not listed here is dropped and only its name is told, so an object with a secret in it cannot
reach a log by accident. No value can end a line or reach a terminal's escape codes: everything outside
printable ASCII is escaped, and long values are cut and carry their hash.
"""

from __future__ import annotations

import hashlib
import json
import logging
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, BinaryIO

import structlog
from structlog.typing import FilteringBoundLogger, WrappedLogger

Log = FilteringBoundLogger

MAX_TEXT = 256
MAX_ITEMS = 32

FIELDS = frozenset(
    {
        "attempt",
        "bytes",
        "code",
        "command",
        "count",
        "detail",
        "digest",
        "environment",
        "error",
        "event",
        "frames",
        "halted",
        "key",
        "leaf",
        "level",
        "listener",
        "milliseconds",
        "method",
        "peer",
        "pid",
        "policy",
        "policy_digest",
        "principal",
        "problems",
        "reason",
        "remedy",
        "request_id",
        "room",
        "route",
        "signal",
        "size",
        "status",
        "subjects",
        "time",
        "token",
        "verdict",
        "version",
        "worker",
    }
)
"""Every field that may stand in a log line. None of them ever holds evidence, a header, a PIN or a key."""


def open_log(stream: BinaryIO, *, room: str, level: int = logging.INFO) -> Log:
    """A logger that writes to `stream`; it shares no state with other loggers of the process."""
    logger: Log = structlog.wrap_logger(
        structlog.BytesLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            allow,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        room=room,
    )
    return logger


def allow(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """Keep listed fields, bounded; name the others in `dropped`."""
    kept = {name: _bounded(value) for name, value in event.items() if name in FIELDS}
    dropped = sorted(name[:MAX_TEXT] for name in event if name not in FIELDS)
    if dropped:
        kept["dropped"] = dropped[:MAX_ITEMS]
    return kept


def render(_logger: WrappedLogger, _method: str, event: Mapping[str, Any]) -> bytes:
    """One line of printable ASCII: json escapes everything else."""
    return json.dumps(event, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()


def failure(error: BaseException) -> dict[str, Any]:
    """The fields that tell where an error came from: its type and frames, never its text.

    The text of a library's error may quote what it was given.
    """
    frames = traceback.extract_tb(error.__traceback__)[-MAX_ITEMS:]
    return {
        "error": type(error).__qualname__,
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


def _bounded(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return _text(value)
        case list() | tuple():
            items = [_text(str(item)) for item in value[:MAX_ITEMS]]
            return items if len(value) <= MAX_ITEMS else [*items, f"and {len(value) - MAX_ITEMS} more"]
        case _:
            return f"<{type(value).__qualname__}>"


def _text(value: str) -> str:
    if len(value) <= MAX_TEXT:
        return value
    whole = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{value[:MAX_TEXT]}… {len(value)} characters, sha256:{whole}"
