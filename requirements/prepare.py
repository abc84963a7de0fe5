# SPDX-License-Identifier: Apache-2.0
"""Make a fresh checkout ready: system parts by apt, everything else inside `.venv`.

Runs on the system's Python with its standard library alone. A second run compares one stamp and ends.
Where apt cannot be used (not root, no passwordless sudo) it prints the exact line to run and exits with 1.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.txt"
APT_WAIT = "DPkg::Lock::Timeout=400"
TESTS = "--tests" in sys.argv
"""Whether the tests are to run: they build a PKCS #11 module that goes wrong on demand, and need a C compiler."""
MODULES = (Path("/usr/lib64"), *Path("/usr/lib").glob("*-linux-gnu"))
POSTGRESQL = Path("/usr/lib/postgresql")
SOFTHSM = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so")


def missing_parts() -> list[str]:
    """Names of the Debian packages whose part is not on this machine."""
    compiler = {"gcc": shutil.which("cc") is not None, "libc6-dev": Path("/usr/include/stdio.h").exists()}
    parts = {
        **(compiler if TESTS else {}),
        "openssl": shutil.which("openssl") is not None,
        "softhsm2": shutil.which("softhsm2-util") is not None and any(Path(path).exists() for path in SOFTHSM),
        "postgresql": shutil.which("initdb") is not None or any(POSTGRESQL.glob("*/bin/initdb")),
        # Debian and Ubuntu split ensurepip from Python; without it a venv has no pip.
        f"python{sys.version_info[0]}.{sys.version_info[1]}-venv": importlib.util.find_spec("ensurepip") is not None,
    }
    return [package for package, present in parts.items() if not present]


def missing_modules() -> list[str]:
    """Names of the packages with further PKCS#11 modules; without them their part of the contract suite is skipped."""
    parts = {
        "p11-kit-modules": any((folder / "p11-kit-proxy.so").exists() for folder in MODULES),
        "opencryptoki": shutil.which("pkcsslotd") is not None,
    }
    return [package for package, present in parts.items() if not present]


def install_modules(packages: list[str]) -> None:
    """Install them where that can be done; each alone, for a machine may know one of them and not the other."""
    words = privilege()
    if words is None:
        say(f"the contract suite skips {', '.join(packages)}: apt needs a password here")
        return
    apt = [*words, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", APT_WAIT]
    run_quietly([*apt, "update"])
    for package in packages:
        if run_quietly([*apt, "install", "-y", "--no-install-recommends", package]) != 0:
            say(f"the contract suite skips {package}: apt does not install it here")


def privilege() -> list[str] | None:
    """The words to put before apt-get; None where it may not be run without a password."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


def apt_line(packages: list[str]) -> str:
    """What a person without our privileges must run."""
    return f"sudo apt-get update && sudo apt-get install -y --no-install-recommends {' '.join(packages)}"


def install_parts(packages: list[str]) -> int:
    """Install system packages; 0, or 1 after printing the line that would do it."""
    words = privilege()
    if words is None:
        say(f"this machine lacks {', '.join(packages)}, and apt needs a password here. Run this, then make again:")
        say(f"  {apt_line(packages)}")
        return 1
    say(f"installing system parts: {' '.join(packages)}")
    apt = [*words, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", APT_WAIT]
    for attempt in range(5):
        # The lock of the package lists has no time-out of its own; another apt may hold it.
        if run_quietly([*apt, "update"]) == 0:
            break
        time.sleep(2 * (attempt + 1))
    if run_quietly([*apt, "install", "-y", "--no-install-recommends", *packages]) != 0 or missing_parts():
        say("apt did not install everything (its last words stand above). Run this, then make again:")
        say(f"  {apt_line(packages)}")
        return 1
    return 0


def stamp() -> str:
    """What the environment was made from: the lock, the metadata, the Python and the place (scripts hold its path)."""
    digest = hashlib.sha256()
    for part in (LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), str(VENV).encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def install_environment() -> int:
    """Fill `.venv` from the hash-pinned lock and put the checkout itself into it."""
    note = VENV / "made-from"
    wanted = stamp()
    if note.exists() and note.read_text(encoding="ascii") == wanted:
        return 0
    python = VENV / "bin" / "python"
    probe = [str(python), "-c", "import sys; print(sys.version, sys.prefix)"]
    found = subprocess.run(probe, capture_output=True, text=True, check=False).stdout if python.exists() else ""
    if found.strip() != f"{sys.version} {VENV}":
        say("making .venv")
        if run([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
            return 1
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"]
    say(f"installing {LOCK.read_text(encoding='utf-8').count('==')} pinned packages into .venv (about a minute)")
    if run([*pip, "--require-hashes", "-r", str(LOCK)]) != 0:
        return 1
    if run([*pip, "--no-build-isolation", "-e", str(ROOT)]) != 0:
        return 1
    note.write_text(wanted, encoding="ascii")
    return 0


def run(command: list[str]) -> int:
    """Run to the end with no terminal to ask; its output is ours."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, cwd=ROOT, check=False).returncode


def run_quietly(command: list[str]) -> int:
    """Run to the end; show the last lines of its output only when it failed."""
    ended = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if ended.returncode != 0:
        for line in ended.stdout.splitlines()[-10:]:
            say(f"  | {line}")
    return ended.returncode


def say(line: str) -> None:
    """One line for the person who ran make."""
    print(f"prepare: {line}", file=sys.stderr, flush=True)


def main() -> int:
    """0 when the checkout is ready."""
    if sys.version_info < (3, 11):
        say(f"Python 3.11 or later is needed, this is {sys.version.split()[0]}; try: make PYTHON=python3.12 …")
        return 1
    with (ROOT / "requirements" / "prepare.py").open("rb") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)  # two makes at once must not fill one environment
        packages = missing_parts()
        if packages and install_parts(packages) != 0:
            return 1
        code = install_environment()
        note = VENV / "modules-asked"
        if code == 0 and TESTS and not note.exists():
            # Asked for once, whatever this machine's apt can do: a second run ends at its stamps.
            if modules := missing_modules():
                install_modules(modules)
            note.touch()
        return code


if __name__ == "__main__":
    sys.exit(main())
