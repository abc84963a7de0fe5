# SPDX-License-Identifier: Apache-2.0
"""The house keeps its shape: who may import whom, how long a module is, what each process loads.

Read `ROOMS` as the plan of the house. A room is a package or one module of it; the longest name that fits a
module decides. A line lists every project module and every third-party package that the room may import, anywhere
in its files. The standard library is open to all but the judge.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FLOOR = "signer.errors signer.domain"
JUDGE = "policy"
MATHS = "signer.formats signer.tlog"
RECORD = "signer.ledger signer.db"

ROOMS: Mapping[str, str] = {
    # the judge: a pure function
    "policy": "policy",
    "policy.document": "policy yaml",
    "policy.strict_yaml": "policy yaml",
    # the ground floor
    "signer": "",
    "signer.errors": "",
    "signer.domain": FLOOR,
    # bytes and mathematics, no I/O
    "signer.formats": f"{FLOOR} signer.formats signer.custodian.commands policy.facts policy.review_facts"
    " policy.artifact_facts policy.decision policy.licence cryptography msgspec jiter packaging pybase64 rfc8785",
    "signer.formats.timestamp": f"{FLOOR} cryptography rfc3161_client",
    "signer.tlog": f"{FLOOR} {MATHS} cryptography",
    # who asks, and whether the proof is genuine
    "signer.identity": f"{FLOOR} signer.formats signer.identity policy.strict_yaml msgspec yaml cryptography",
    "signer.identity.authorities": "certifi",
    "signer.evidence": f"{FLOOR} signer.formats signer.evidence {JUDGE} cryptography msgspec",
    "signer.evidence.keyless": f"{FLOOR} signer.formats {JUDGE} cryptography sigstore sigstore_models rfc3161_client",
    # keys and the record
    "signer.keys": f"{FLOOR} signer.formats signer.keys cryptography",
    "signer.keys.pkcs11": f"{FLOOR} signer.formats signer.keys cryptography pkcs11",
    "signer.keys.devices": "signer.keys msgspec",
    "signer.keys.aws_kms": f"{FLOOR} signer.formats signer.keys boto3 botocore",
    "signer.db": f"{FLOOR} signer.db sqlalchemy alembic",
    "signer.ledger": f"{FLOOR} {MATHS} {RECORD} cryptography msgspec sqlalchemy",
    "signer.ledger.leaves": f"{FLOOR} signer.formats signer.ledger.base_leaf signer.ledger.approval_leaves msgspec",
    "signer.ledger.base_leaf": "msgspec",
    "signer.ledger.approval_leaves": "signer.ledger.base_leaf",
    # what is known of one digest, and the pack of it
    "signer.releases": f"{FLOOR} signer.formats signer.tlog {JUDGE} signer.releases signer.ledger.leaves"
    " signer.ledger.approval_leaves"
    " signer.ledger.rows signer.ledger.documents msgspec",
    "signer.pack": f"{FLOOR} signer.formats {JUDGE} signer.identity signer.releases signer.pack signer.ledger.leaves"
    " signer.ledger.approval_leaves signer.ledger.documents cryptography",
    # the only writer
    "signer.custodian": f"{FLOOR} {MATHS} {RECORD} {JUDGE} signer.custodian signer.identity signer.keys"
    " signer.releases signer.pack"
    " signer.telemetry cryptography msgspec",
    "signer.custodian.commands": "policy.facts signer.custodian.message signer.custodian.release_commands",
    "signer.custodian.message": "msgspec",
    "signer.custodian.release_commands": "signer.custodian.message",
    "signer.custodian.timestamp_worker": "signer.errors signer.formats.timestamp signer.custodian msgspec urllib3",
    "signer.custodian.timestamp_place": "",
    # the network-facing process
    "signer.web": f"{FLOOR} signer.formats signer.tlog signer.identity signer.evidence {JUDGE}"
    " signer.releases signer.pack"
    " signer.ledger.reader signer.ledger.rows signer.ledger.documents signer.ledger.leaves signer.ledger.guard"
    " signer.ledger.receipts signer.ledger.store signer.ledger.key_life signer.custodian.commands"
    " signer.custodian.client signer.custodian.release_commands"
    " signer.telemetry signer.web cryptography flask flask_smorest gunicorn marshmallow msgspec prometheus_client"
    " webargs werkzeug",
    "signer.telemetry": f"{FLOOR} signer.telemetry prometheus_client structlog",
    # outside the service
    "signer.collect": f"{FLOOR} signer.formats signer.evidence.verifier signer.collect",
    "signer.verify": f"{FLOOR} {MATHS} {JUDGE} signer.evidence signer.ledger.leaves signer.ledger.approval_leaves"
    " signer.verify cryptography msgspec",
    "signer.verify.pack": f"{FLOOR} {MATHS} {JUDGE} signer.identity signer.ledger.leaves signer.releases signer.pack"
    " signer.verify cryptography",
    "signer.verify.pack_signatures": f"{FLOOR} signer.formats signer.ledger.leaves signer.releases signer.verify"
    " policy.outputs",
    "signer.verify.pack_files": f"{FLOOR} signer.formats signer.releases signer.pack",
    "signer.verify.pack_approvals": f"{FLOOR} signer.formats signer.identity signer.ledger.leaves signer.releases"
    " signer.ledger.approval_leaves signer.verify.pack_facts",
    "signer.verify.pack_facts": f"{FLOOR} signer.formats {JUDGE} signer.identity signer.evidence signer.ledger.leaves"
    " signer.ledger.documents signer.releases",
    "signer.publisher": f"{FLOOR} {MATHS} signer.verify signer.publisher",
    "signer.client": f"{FLOOR} signer.formats signer.client urllib3 msgspec",
    "signer.cli": f"{FLOOR} {MATHS} {JUDGE} signer.identity signer.evidence signer.client signer.verify signer.cli"
    " signer.collect signer.releases.findings signer.settings signer.ledger.leaves click rich cryptography",
    # the admin socket and the database, imported when a command of the operator calls
    "signer.cli.operator": f"{FLOOR} {MATHS} signer.settings signer.custodian.client signer.custodian.commands"
    " signer.ledger.reader signer.ledger.key_life signer.ledger.key_calls signer.db.engine",
    # a key of a person in a token, loaded when one is named
    "signer.cli.approval_token": f"{FLOOR} signer.formats signer.keys",
    "signer.cli.key_report": "signer.formats signer.cli signer.ledger.key_calls",
    # composition
    "signer.settings": f"{FLOOR} signer.settings_checks signer.settings_shape signer.key_settings msgspec",
    "signer.settings_checks": "",
    "signer.settings_shape": "",
    "signer.key_settings": f"{FLOOR} signer.settings_checks",
    "signer.devices": f"{FLOOR} signer.formats signer.settings signer.key_settings signer.keys"
    " signer.custodian.device_place signer.custodian.timestamp_place",
    "signer.confinement": f"{FLOOR} signer.settings signer.ledger.leaves",
    "signer.wiring": "signer policy cryptography sqlalchemy",
    "signer.dev": "signer policy cryptography trustme yaml click rich",
}

OPERATOR_COMMANDS = tuple(
    f"signer.cli.{name}" for name in ("init", "dev", "serve", "custodian", "publish", "checkup_server", "checkup_token")
)
"""Commands of the server's own machine; they alone in the CLI may name `signer.wiring`, `signer.dev` and the like."""

ONE_PLACE: Mapping[str, str] = {
    "pkcs11": "signer.keys.pkcs11",
    "boto3": "signer.keys.aws_kms",
    "botocore": "signer.keys.aws_kms",
    "sigstore": "signer.evidence.keyless",
}
"""Vendor libraries, and the one module that may import each."""

IMPURE = (
    "asyncio ctypes glob http io logging multiprocessing os pathlib random secrets select shutil signal"
    " socket sqlite3 ssl subprocess tempfile threading time urllib uuid"
)
"""Parts of the standard library that reach outside a function; the judge imports none of them."""

LONG: Mapping[str, str] = {
    "signer.db.tables": "one table after the other, as they stand in the database",
    "signer.ledger.leaves": "one kind of leaf after the other, as the ledger can say them",
    "signer.ledger.queries": "one statement after the other, each a question of the reader",
    "signer.ledger.reader": "one class, one short method for each question; its statements stand beside them",
}
"""Modules over 300 lines, each with the reason why it is still one room."""

LINES = 300
SPDX = "# SPDX-License-Identifier: Apache-2.0"


@dataclass(frozen=True, slots=True)
class Module:
    """One file of the product: its dotted name, its text and its tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    def imports(self) -> Iterator[tuple[str, int]]:
        """Every imported module, also inside functions; `from a import b` is a.b when that is a module."""
        for node in ast.walk(self.tree):
            match node:
                case ast.Import(names=names):
                    yield from ((alias.name, node.lineno) for alias in names)
                case ast.ImportFrom(module=str(source), level=0, names=names):
                    for alias in names:
                        inner = f"{source}.{alias.name}"
                        yield (inner if inner in NAMES else source), node.lineno
                case ast.ImportFrom(level=level) if level > 0:
                    yield "a relative import", node.lineno
                case _:
                    pass

    def calls(self) -> Iterator[tuple[str, int]]:
        """The text of whatever is called, and where."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func), node.lineno


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = sorted(path for room in ("policy", "signer") for path in (ROOT / room).rglob("*.py"))
NAMES = frozenset(map(dotted, PATHS))
MODULES = tuple(
    Module(dotted(path), path, text, ast.parse(text)) for path in PATHS for text in [path.read_text(encoding="utf-8")]
)


def inside(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def room_of(name: str) -> str:
    """The longest line that fits; the line `signer` speaks of the package itself and of nothing in it."""
    return max(
        (room for room in ROOMS if name == room or (inside(name, room) and room != "signer")), key=len, default=""
    )


def allowed(module: Module, imported: str) -> bool:
    top = imported.partition(".")[0]
    judge = inside(module.name, "policy")
    if top in sys.stdlib_module_names:
        return not judge or top not in IMPURE.split()
    if imported == "signer":  # the version
        return not judge
    if module.name.startswith(OPERATOR_COMMANDS) and top == "signer":
        return True
    return any(inside(imported, room) for room in ROOMS[room_of(module.name)].split())


def test_a_module_imports_only_what_its_room_may() -> None:
    assert [module.name for module in MODULES if not room_of(module.name)] == [], "give each a line in ROOMS"
    assert [
        f"{module.path.relative_to(ROOT)}:{line} imports {imported}"
        for module in MODULES
        for imported, line in module.imports()
        if not allowed(module, imported)
    ] == []


@pytest.mark.parametrize(("library", "home"), ONE_PLACE.items(), ids=ONE_PLACE)
def test_a_vendor_library_is_imported_in_one_module(library: str, home: str) -> None:
    assert {module.name for module in MODULES for imported, _ in module.imports() if inside(imported, library)} <= {
        home
    }


def test_the_authority_names_no_concrete_adapter() -> None:
    adapters = ("signer.keys.pkcs11", "signer.keys.aws_kms", "signer.db.engine", "sqlalchemy")
    authority = [module for module in MODULES if module.name == "signer.custodian.authority"]
    assert [name for module in authority for name, _ in module.imports() if name.startswith(adapters)] == []


def test_a_module_is_one_room_long() -> None:
    lengths = {module.name: module.text.count("\n") for module in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > LINES} == {
        name: lengths.get(name) for name in LONG
    }


def test_each_file_names_its_licence_first() -> None:
    files = [*PATHS, *(path for room in ("tests", "bench", "docs") for path in (ROOT / room).rglob("*.py"))]
    assert [str(path.relative_to(ROOT)) for path in files if path.read_text("utf-8").split("\n", 1)[0] != SPDX] == []


def test_json_is_read_by_the_strict_loader_alone() -> None:
    lax = ("json.loads", "json.load", "request.get_json", "request.json")
    assert [
        f"{module.name}:{node.lineno} uses {ast.unparse(node)}"
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and (ast.unparse(node) in lax or node.attr == "get_json")
    ] == []


def test_only_commands_print() -> None:
    assert [
        f"{module.name}:{line}"
        for module in MODULES
        if not module.name.startswith(("signer.cli", "signer.dev"))
        for called, line in module.calls()
        if called == "print"
    ] == []


def test_the_judge_asks_no_clock_and_opens_no_file() -> None:
    reaching = {"now", "utcnow", "today", "open", "print", "eval", "exec", "__import__", "input"}
    assert [
        f"{module.name}:{line} calls {called}"
        for module in MODULES
        if inside(module.name, "policy")
        for called, line in module.calls()
        if called.rsplit(".", 1)[-1] in reaching
    ] == []


SERVER = "flask flask_smorest gunicorn marshmallow sqlalchemy alembic pkcs11 boto3 structlog prometheus_client"


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        pytest.param("signer.verify", f"{SERVER} sigstore", id="the offline verifier loads no server library"),
        pytest.param("signer.client", SERVER, id="the client loads no server library"),
        pytest.param("signer.cli", SERVER, id="the command line loads no server library"),
        pytest.param(
            "signer.web", "pkcs11 boto3 sigstore signer.keys signer.custodian.authority", id="web loads no key library"
        ),
        pytest.param(
            "policy", "signer cryptography msgspec flask sqlalchemy socket", id="the judge loads nothing of ours"
        ),
    ],
)
def test_a_clean_process_loads(room: str, forbidden: str) -> None:
    members = sorted(name for name in NAMES if inside(name, room) and not name.startswith(OPERATOR_COMMANDS))
    program = (
        f"import sys, importlib\nfor name in {members!r}: importlib.import_module(name)\n"
        f"print(*(name for name in {forbidden.split()!r} if name in sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (answer.returncode, answer.stdout.strip()) == (0, ""), answer.stderr
