# SPDX-License-Identifier: Apache-2.0
"""gunicorn's own messages as lines of our log: its text, its level, and of an error only type and frames."""

from __future__ import annotations

import logging
import sys
from typing import Any

from signer.telemetry.logs import Log, failure


class Journal:
    """What gunicorn calls its logger; access lines are written by the application."""

    access_log_enabled = False

    def __init__(self, cfg: Any) -> None:
        self._log: Log = cfg.journal
        # Parts of gunicorn that use the standard logger directly are quiet rather than unstructured.
        logging.getLogger("gunicorn").addHandler(logging.NullHandler())
        logging.getLogger("gunicorn").propagate = False

    def critical(self, message: str, *args: Any, **_options: Any) -> None:
        """Log at level critical."""
        self._log.critical("server", detail=_text(message, args))

    def error(self, message: str, *args: Any, **_options: Any) -> None:
        """Log at level error."""
        self._log.error("server", detail=_text(message, args))

    def warning(self, message: str, *args: Any, **_options: Any) -> None:
        """Log at level warning."""
        self._log.warning("server", detail=_text(message, args))

    def info(self, message: str, *args: Any, **_options: Any) -> None:
        """Log at level info."""
        self._log.info("server", detail=_text(message, args))

    def debug(self, message: str, *args: Any, **_options: Any) -> None:
        """Log at level debug."""
        self._log.debug("server", detail=_text(message, args))

    def exception(self, message: str, *args: Any, **_options: Any) -> None:
        """Log the error being handled by its type and frames."""
        error = sys.exc_info()[1]
        self._log.error("server", detail=_text(message, args), **(failure(error) if error is not None else {}))

    def log(self, level: int | str, message: str, *args: Any, **_options: Any) -> None:
        """Log at a level given by number or name."""
        number = logging.getLevelName(level.upper()) if isinstance(level, str) else level
        self._log.log(number if isinstance(number, int) else logging.INFO, "server", detail=_text(message, args))

    def access(self, *_arguments: Any) -> None:
        """Nothing: see `signer.web.admission`."""

    def reopen_files(self) -> None:
        """Nothing to reopen: lines go to the stream that the process was given."""

    def close_on_exec(self) -> None:
        """Nothing to close."""


def _text(message: str, args: tuple[Any, ...]) -> str:
    try:
        return message % args if args else message
    except (TypeError, ValueError):
        return message
