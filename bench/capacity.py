# SPDX-License-Identifier: Apache-2.0
"""How much of a device the authority uses: `python -m bench.capacity [SECONDS]`.

    slow     a device with 4 or 8 slots, each signature in 10 or 50 ms: share of slots / latency at the custodian's
             socket, and through web over mutual TLS beside it
    latency  what one connection waits beyond a device of 10 ms
    RSA      RSA-3072 of SoftHSM through the custodian, as a share of C_Sign in a loop on as many cores

The slow device is a real PKCS #11 module (tests/p11_shim.c) in front of SoftHSM: a signature holds one of its slots
for the latency and takes no CPU there. Clients run in this process, on the same cores. Requests that the custodian
gets directly have been gathered once, as web would, and differ in their request id. What is printed is measured, not
gated.
"""

from __future__ import annotations

import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3
from msgspec.structs import replace

from signer.custodian.commands import Decide, Signed
from signer.dev.token import ensure_token
from tests.abuse.stack import Stack, question
from tests.authority import ENVIRONMENT, POLICY, LiveAuthority, subject
from tests.p11_shim import Shim

ROOT = Path(__file__).resolve().parent.parent
RAW = """\
import sys, time, pkcs11
from pkcs11 import KeyType, Mechanism, ObjectClass, Attribute
session = pkcs11.lib(sys.argv[1]).get_token(token_label=sys.argv[2]).open(rw=True, user_pin=sys.argv[3])
_, key = session.generate_keypair(KeyType.RSA, 3072, store=False)
digest = bytes.fromhex("3031300d060960864801650304020105000420") + bytes(32)
print("ready", flush=True)
sys.stdin.readline()
count, begin = 0, time.monotonic()
while time.monotonic() - begin < float(sys.argv[4]):
    key.sign(digest, mechanism=Mechanism.RSA_PKCS)
    count += 1
print(count / (time.monotonic() - begin), flush=True)
"""
"""One process that does nothing but C_Sign: the time outside of the module is below one per cent of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What clients saw: signatures in a second, and waits in milliseconds."""

    rate: float
    p50: float
    p99: float


def measure(sign: Sequence[Callable[[], None]], seconds: float) -> Measured:
    """Each client signs without pause; the first half second does not count."""
    waits: list[float] = []
    begin = time.monotonic() + 0.5
    end = begin + seconds

    def run(one: Callable[[], None]) -> None:
        while (at := time.monotonic()) < end:
            one()
            done = time.monotonic()
            if at >= begin and done <= end:
                waits.append(done - at)

    threads = [threading.Thread(target=run, args=(one,)) for one in sign]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waits.sort()
    return Measured(
        rate=len(waits) / seconds, p50=waits[len(waits) // 2] * 1e3, p99=waits[int(len(waits) * 0.99)] * 1e3
    )


def at_the_socket(authority: LiveAuthority) -> Callable[[], Callable[[], None]]:
    """Makes clients of the custodian's socket, one connection each."""
    about = subject(secrets.randbits(40))
    evidence = authority.evidence(about)
    assert isinstance(authority.ask(authority.decide(evidence, about)), Signed)
    template = authority.judge(evidence, about)

    def new() -> Callable[[], None]:
        client = authority.new_client()

        def sign() -> None:
            reply = client.ask(Decide(judge=replace(template, request_id=secrets.token_hex(16))))
            if not isinstance(reply, Signed):
                raise SystemExit(f"not signed: {reply}")

        return sign

    return new


def over_tls(stack: Stack) -> Callable[[], Callable[[], None]]:
    """Makes clients of web, one connection each."""
    release = stack.release()
    body = json.dumps(question([release.subject], release.evidence(), POLICY, ENVIRONMENT)).encode()

    def new() -> Callable[[], None]:
        pool = urllib3.PoolManager(ssl_context=stack.context(stack.identities["ci"]), retries=False, maxsize=1)

        def sign() -> None:
            answer = pool.request(
                "POST",
                f"https://127.0.0.1:{stack.port}/v1/signatures",
                body=body,
                headers={"Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(16)},
            )
            if answer.status != 200:
                raise SystemExit(f"not signed: {answer.status} {answer.data[:300]!r}")

        return sign

    return new


@contextmanager
def slow_device(slots: int, latency: float) -> Iterator[Stack]:
    """An authority whose token signs `slots` at a time, each in `latency` seconds."""
    with folder() as place:
        shim = Shim.build(place, slots=slots, latency=latency)
        stack = Stack.start(
            place,
            level="minimum",
            workers=min(16, 2 * slots),
            module=shim.module,
            environment=shim.environment,
            web={"threads": "24"},
        )
        try:
            yield stack
        finally:
            stack.stop()


@contextmanager
def folder() -> Iterator[Path]:
    """On the disk of the checkout: a temporary folder may be memory, where a flush is free."""
    place = ROOT / ".demo"
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="capacity-", dir=place) as name:
        yield Path(name)


def report_slow(seconds: float) -> None:
    print(f"{'slow device':22}{'workers':>9}{'limit /s':>10}{'socket /s':>11}{'share':>8}{'web /s':>9}{'share':>8}")
    for slots in (4, 8):
        for latency in (0.010, 0.050):
            with slow_device(slots, latency) as stack:
                wait_for_workers(stack, min(16, 2 * slots))
                clients = 4 * slots
                make, over = at_the_socket(stack.authority), over_tls(stack)
                direct = statistics.median(measure([make() for _ in range(clients)], seconds).rate for _ in range(3))
                whole = measure([over() for _ in range(clients)], seconds).rate
            limit = slots / latency
            print(
                f"{slots} slots, {latency * 1e3:.0f} ms{'':9}{min(16, 2 * slots):9}{limit:10.0f}{direct:11.0f}"
                f"{direct / limit:8.1%}{whole:9.0f}{whole / limit:8.1%}",
                flush=True,
            )


def report_latency(seconds: float) -> None:
    with slow_device(4, 0.010) as stack:
        wait_for_workers(stack, 8)
        for name, make in (("socket", at_the_socket(stack.authority)), ("web, mutual TLS", over_tls(stack))):
            found = measure([make()], seconds * 2)
            print(
                f"one connection, 10 ms device, {name}: p50 {found.p50:.1f} ms, p99 {found.p99:.1f} ms "
                f"(+{found.p50 - 10:.1f} / +{found.p99 - 10:.1f})",
                flush=True,
            )


def wait_for_workers(stack: Stack, count: int) -> None:
    deadline = time.monotonic() + 60
    while stack.authority.log().count("token worker ready") < count:
        if time.monotonic() > deadline:
            raise SystemExit("the token workers did not start")
        time.sleep(0.1)


def report_rsa(seconds: float, workers: int = 2) -> None:
    with folder() as place:
        raw = raw_rsa(place, processes=workers, seconds=seconds)
        authority = LiveAuthority.found(
            place / "authority", level="minimum", workers=workers, algorithm="rsa-pkcs1-3072-sha256"
        )
        with authority.running():
            make = at_the_socket(authority)
            direct = statistics.median(measure([make() for _ in range(8)], seconds).rate for _ in range(3))
    print(
        f"RSA-3072 SoftHSM: C_Sign alone in {workers} processes {raw:.0f}/s, at the custodian's socket {direct:.0f}/s: "
        f"{direct / raw:.1%}",
        flush=True,
    )


def raw_rsa(place: Path, *, processes: int, seconds: float) -> float:
    """Signatures in a second of so many processes that do nothing else."""
    (place / "raw").mkdir()
    token = ensure_token(place / "raw")
    command = [sys.executable, "-c", RAW, str(token.module), "signer", token.pin_file.read_text(), str(seconds)]
    running = []
    for _ in range(processes):
        one = subprocess.Popen(
            command,
            env={"SOFTHSM2_CONF": str(token.configuration)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
        running.append(one)
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    return sum(float(one.communicate(timeout=60)[0]) for one in running)


def report(seconds: float = 3.0) -> None:
    """Print all of it."""
    report_slow(seconds)
    report_latency(seconds)
    report_rsa(seconds)


if __name__ == "__main__":
    report(float(sys.argv[1]) if sys.argv[1:] else 3.0)
