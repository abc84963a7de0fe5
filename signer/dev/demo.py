# SPDX-License-Identifier: Apache-2.0
"""The story in one command (`python -m signer.dev.demo`): signed, denied, verified offline, tampering refused,
promoted by two people, log verified.

Real processes, real TLS, a real token; every step runs a command that anybody could type and checks its exit
code. The authority is stopped at the end, its directory stays.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from signer.dev.announce import read_exports
from signer.dev.directory import DevDirectory
from signer.dev.supervisor import last_lines
from signer.formats.bundle import parse_bundle
from signer.formats.dsse import pae
from signer.formats.spki import load_spki
from signer.formats.trust import parse_trust_file

START_TIMEOUT = 60.0
COMMAND_TIMEOUT = 60.0
SIGNER = (sys.executable, "-P", "-m", "signer.cli")


class DemoFailed(Exception):
    """A step did not do what it should; the text says which and how."""


@dataclass(slots=True)
class Story:
    """Runs commands against one authority and tells what happened."""

    directory: DevDirectory
    tell: Callable[[str], None]
    environ: Mapping[str, str] = field(default_factory=dict)

    def step(
        self,
        title: str,
        arguments: Sequence[str],
        *,
        expect: int,
        show: str,
        identity: str = "ci",
        keep: Path | None = None,
    ) -> None:
        """Run `signer ARGUMENTS` as `identity`, demand the exit code, show the lines that match `show`.

        What it said is written to `keep`.
        """
        self.tell(f"\n{title}\n  $ signer {self._short(' '.join(arguments))}")
        folder = self.directory.identity(identity)
        client = {"SIGNER_CLIENT_CERT": str(folder / "cert.pem"), "SIGNER_CLIENT_KEY": str(folder / "key.pem")}
        done = run([*SIGNER, *arguments], environ={**os.environ, **self.environ, **client})
        said = (done.stderr + done.stdout).splitlines()
        if done.returncode != expect:
            raise DemoFailed(f"exit code {done.returncode} instead of {expect}:\n" + "\n".join(said[-30:]))
        if keep is not None:
            keep.write_text("\n".join(said), "utf-8")
        shown = [line for line in said if re.search(show, line)]
        for line in shown:
            self.tell(f"    {self._short(line)}")
        if len(said) > len(shown):
            self.tell(f"    … and {len(said) - len(shown)} lines of detail")
        self.tell(f"  exit {done.returncode}")

    def _short(self, text: str) -> str:
        text = text.replace(f"{self.directory.root}/", "DIR/")
        # What a shell would have expanded is shown as it was typed.
        return re.sub(r"DIR/samples/(good|bad)-\S+\.json( DIR/samples/\1-\S+\.json)*", r"DIR/samples/\1*.json", text)


def run(argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, its output captured."""
    return subprocess.run(  # noqa: S603 - no shell; the arguments are made by this program
        argv, env=environ, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT
    )


@contextmanager
def authority(directory: DevDirectory) -> Iterator[None]:
    """A running `signer dev` on a free port; stopped at the end, however the story ends. Raises DemoFailed."""
    log = directory.root / "demo.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - no shell; the arguments are made by this program
            [*SIGNER, "dev", "--dir", str(directory.root), "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not _is_ready(directory, process.pid):
            if process.poll() is not None:
                raise DemoFailed(f"signer dev ended with {process.returncode}:\n{last_lines(log, count=20)}")
            if time.monotonic() > deadline:
                raise DemoFailed(f"signer dev did not answer within {START_TIMEOUT:.0f} s: see {log}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=COMMAND_TIMEOUT)
    if process.returncode != 0 or directory.ready.exists():
        raise DemoFailed(f"signer dev did not stop cleanly: exit code {process.returncode}; see {log}")


def _is_ready(directory: DevDirectory, pid: int) -> bool:
    """Whether the process `pid` says so, and not one that was killed before it."""
    return directory.ready.exists() and directory.ready.read_text().split()[-1:] == [str(pid)]


def tell_story(story: Story) -> None:
    """All steps; raises DemoFailed at the first that does not do what it should."""
    directory = story.directory
    samples = directory.samples
    bundle, receipt = directory.root / "demo.bundle.json", directory.root / "demo.receipt.json"
    artifact = samples / "artifact.txt"
    request = ["--policy", "demo", "--environment", "release"]
    good = ["--evidence", *(str(path) for path in sorted(samples.glob("good*.json")))]
    bad = ["--evidence", *(str(path) for path in sorted(samples.glob("bad*.json")))]
    kept = ["--bundle", str(bundle), "--receipt", str(receipt)]
    story.step(
        "1. Signed: the evidence satisfies the policy",
        ["sign", *request, "--subject-file", str(artifact), *good, *kept],
        expect=0,
        show="SIGNED|request|verify with",
    )
    story.step(
        "2. Denied, with reasons: another artifact, with evidence that does not",
        ["sign", *request, "--subject-file", str(samples / "bad-artifact.txt"), *bad],
        expect=10,
        # The verdict, one line for each reason, and the whole of one.
        show=r"^DENIED|^ request|nothing was signed|^ [x?] |VUL-1|by scanner|updates the affected|critical",
    )
    verify = ["verify", "--trust", str(directory.trust), "--bundle", str(bundle), "--receipt", str(receipt)]
    verify += ["--environment", "release", "--allow-dev"]
    story.step(
        "3. Verified offline: trust file, bundle, receipt and artifact, no connection",
        [*verify, "--subject-file", str(artifact)],
        expect=0,
        show="VERIFIED|signed by its owners|signature by|subject digest|ledger|inclu",
    )
    _openssl(story, bundle)
    tampered = directory.root / "tampered.txt"
    tampered.write_bytes(artifact.read_bytes() + b"one byte more\n")
    story.step(
        "4. A tampered artifact is refused",
        [*verify, "--subject-file", str(tampered)],
        expect=3,
        show="NOT VERIFIED|FAIL|xpected|found",
    )
    promote(story, artifact)
    story.step(
        "10. The log verifies: every leaf re-hashed by the auditor, the checkpoint signed",
        ["log", "verify"],
        expect=0,
        show="VERIFIED|signed by the ledger|root equals|leaves ",
        identity="auditor",
    )


def promote(story: Story, artifact: Path) -> None:
    """The same digest goes on: to staging, held for production, approved by two people, signed for production."""
    directory = story.directory
    subject = ["--policy", "demo", "--subject-file", str(artifact)]
    digest = f"sha256:{hashlib.sha256(artifact.read_bytes()).hexdigest()}"
    story.step(
        "5. The same digest for staging: what is kept as evidence counts again",
        ["sign", *subject, "--environment", "staging"],
        expect=0,
        show="SIGNED|request",
    )
    plan, held = directory.root / "rollback-plan.md", directory.root / "demo.held.json"
    plan.write_text("Return to the release that runs now; nothing was migrated.\n", "utf-8")
    story.step(
        "6. A rollback plan of this very digest",
        [
            "evidence",
            "add",
            str(plan),
            "--kind",
            "rollback-plan",
            *subject[:2],
            "--subject",
            f"{artifact.name}@{digest}",
        ],
        expect=0,
        show="sha256|leaf",
    )
    production = ["sign", *subject, "--environment", "production"]
    story.step(
        "7. Held: everything is satisfied but people have not approved",
        production,
        expect=11,
        show="WAITING|request|next",
        keep=held,
    )
    found = re.search(r"request ([0-9a-f]{32})", held.read_text("utf-8"))
    if found is None:
        raise DemoFailed("the answer names no request")
    for place, name in enumerate(("approver-1", "approver-2")):
        story.step(
            f"8.{place + 1} Approved by {name}: the six answers are read, and signed over",
            ["approve", found[1], "--key", str(directory.identity(name) / "approval.key")],
            expect=0,
            show=r"^ [+!] |digest  |APPROVED" if place == 0 else "APPROVED",
            identity=name,
        )
    bundle, receipt = directory.root / "production.bundle.json", directory.root / "production.receipt.json"
    story.step(
        "9. Signed for production, by the key of production",
        [*production, "--bundle", str(bundle), "--receipt", str(receipt)],
        expect=0,
        show="SIGNED|request",
    )


def _openssl(story: Story, bundle_path: Path) -> None:
    """The same bundle under plain OpenSSL: a signature over the DSSE pre-authentication encoding."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise DemoFailed("openssl was not found: apt-get install openssl")
    root = story.directory.root
    bundle = parse_bundle(bundle_path.read_bytes())
    signature = bundle.envelope.signatures[0]
    trust = parse_trust_file(story.directory.trust.read_bytes()).trust
    key = trust.key(bundle.hint or "")
    if key is None:
        raise DemoFailed("the trust file lists no key for the bundle's hint")
    pem = load_spki(key.spki).public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for name, data in (
        ("demo.pae", pae(bundle.envelope.payload_type, bundle.envelope.payload)),
        ("demo.sig", signature.sig),
        ("demo.pub", pem),
    ):
        (root / name).write_bytes(data)
    arguments = ["dgst", "-sha256", "-verify", "demo.pub", "-signature", "demo.sig", "demo.pae"]
    story.tell(f"\n   The same signature under plain OpenSSL\n  $ openssl {' '.join(arguments)}")
    done = subprocess.run(  # noqa: S603 - no shell; the arguments are fixed
        [openssl, *arguments], cwd=root, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT
    )
    if done.returncode != 0 or done.stdout.strip() != "Verified OK":
        raise DemoFailed(f"openssl said {done.stdout.strip()!r} and ended with {done.returncode}")
    story.tell(f"    {done.stdout.strip()}\n  exit 0")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the story; 0 only when every step did what it should."""
    parser = argparse.ArgumentParser(prog="python -m signer.dev.demo", description=__doc__)
    parser.add_argument("--dir", type=Path, help="directory to use and keep (default: a new temporary one)")
    chosen: Path | None = parser.parse_args(arguments).dir
    directory = DevDirectory.prepare(chosen or Path(tempfile.mkdtemp(prefix="signer-demo-")))
    began = time.monotonic()

    def tell(line: str) -> None:
        print(line, flush=True)  # noqa: T201 - a program that tells a story

    story = Story(directory, tell)
    tell(f"Signing Authority, a demonstration in DIR={directory.root}")
    try:
        with authority(directory):
            tell(f"0. An authority of its own answers after {time.monotonic() - began:.1f} s (throwaway keys, SoftHSM)")
            story.environ = read_exports(directory.env)
            tell_story(story)
    except (DemoFailed, OSError, subprocess.TimeoutExpired) as fault:
        tell(f"\nFAILED: {fault}\nEverything is still in {directory.root}")
        return 1
    tell(f"\nDone in {time.monotonic() - began:.1f} s; nothing is left running. Everything is in {directory.root}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
