# SPDX-License-Identifier: Apache-2.0
"""Try one mutant in a forked process: the house is imported there for the first time, with one module changed."""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import pytest

from tests.mutants.changes import sites

ROOT = Path(__file__).resolve().parent.parent.parent
LIBRARIES = (
    "hypothesis",
    "cryptography.x509",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "sqlalchemy",
    "alembic",
    "flask",
    "flask_smorest",
    "marshmallow",
    "msgspec",
    "jiter",
    "rfc8785",
    "click",
    "rich",
    "yaml",
    "structlog",
    "prometheus_client",
    "gunicorn.workers.gthread",
)

OPTIONS = (
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore:Module already imported:pytest.PytestAssertRewriteWarning",
)
UNCHANGED = -1
"""The number of no change: such a mutant must survive, or the trials themselves are broken."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """The `number`-th change of a file."""

    file: str
    number: int
    line: int
    kind: str
    shown: str

    @property
    def module(self) -> str:
        parts = Path(self.file).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class _Changed(importlib.abc.MetaPathFinder):
    """Finds one module, and its source with one change in it."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        path = str(ROOT / self._mutant.file)
        return importlib.util.spec_from_file_location(fullname, path, loader=_Loader(fullname, path, self._mutant))


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the changed tree, and leaves no cache behind."""

    def __init__(self, fullname: str, path: str, mutant: Mutant) -> None:
        super().__init__(fullname, path)
        self._mutant = mutant

    def get_code(self, _fullname: str) -> CodeType:
        tree = ast.parse(Path(self.path).read_bytes(), self.path)
        if self._mutant.number != UNCHANGED:
            sites(tree)[self._mutant.number].make()
        return compile(ast.fix_missing_locations(tree), self.path, "exec")


def load_libraries() -> None:
    """What every child would import again."""
    for name in LIBRARIES:
        importlib.import_module(name)


def begin(mutant: Mutant, tests: Sequence[str]) -> int:
    """Fork a process that runs `tests` on the mutant; its id. It ends with 0 when no test noticed."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        sys.meta_path.insert(0, _Changed(mutant))
        code = int(pytest.main([*OPTIONS, *tests]))
    except BaseException:  # noqa: BLE001 - whatever ends the child shows that the mutant was noticed
        code = 1
    os._exit(code)


def ended(child: int, *, deadline: float) -> int | None:
    """The exit code of a child; None while it runs, -1 when it was late and was ended."""
    found, status = os.waitpid(child, os.WNOHANG)
    if found:
        return os.waitstatus_to_exitcode(status) if not os.WIFSIGNALED(status) else 1
    if time.monotonic() < deadline:
        return None
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1
