# SPDX-License-Identifier: Apache-2.0
"""S, the reference sum: what one signature costs when each part runs alone in a tight loop.

    S = one raw P-256 signature by the token + three DSSE verifications of 20 KB (standard library JSON)
        + two durable appends + one Ed25519 signature

Imports nothing of the product. The unit is microseconds of CPU (user and system) of this process per operation.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import pkcs11
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from pkcs11.util.ec import encode_named_curve_parameters

from bench.bodies import pae, provenance, seal, statement

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
RECORD_BYTES = 1_500
SECONDS = 0.15
"""How long each loop runs in one round."""

Parts = dict[str, Callable[[int], object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """CPU microseconds of one of each; `total` is S."""

    sign: float
    verify: float
    append: float
    note: float

    @property
    def total(self) -> float:
        return self.sign + 3 * self.verify + 2 * self.append + self.note


def median(rounds: list[Reference]) -> Reference:
    """Part by part."""
    return Reference(
        **{part.name: statistics.median(getattr(one, part.name) for one in rounds) for part in fields(Reference)}
    )


def measure(parts: Parts) -> Reference:
    """One round: each part alone in its loop."""
    return Reference(**{name: cost(part) for name, part in parts.items()})


def cost(part: Callable[[int], object]) -> float:
    """CPU microseconds per call in a loop of about `SECONDS`."""
    count = 0
    begin_wall, begin_cpu = time.monotonic(), time.process_time()
    while time.monotonic() - begin_wall < SECONDS:
        for _ in range(20):
            part(count)
            count += 1
    return (time.process_time() - begin_cpu) / count * 1e6


@contextmanager
def reference_parts(folder: Path) -> Iterator[Parts]:
    """The four operations; the database and the token live below `folder`, on the disk that the ledger uses."""
    work = Path(tempfile.mkdtemp(prefix="reference-", dir=folder))
    try:
        with sqlite3.connect(work / "log.db", isolation_level=None) as database:
            yield {
                "sign": token_signer(work),
                "verify": dsse_verifier(),
                "append": appender(database),
                "note": note_signer(),
            }
        database.close()
    finally:
        shutil.rmtree(work)


def token_signer(work: Path) -> Callable[[int], object]:
    """One C_SignInit and C_Sign over 32 bytes by a key whose handle is kept."""
    (work / "tokens").mkdir()
    (work / "softhsm2.conf").write_text(f"directories.tokendir = {work}/tokens\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(work / "softhsm2.conf")
    command = ["softhsm2-util", "--init-token", "--free", "--label", "bench", "--pin", "1234", "--so-pin", "1234"]
    subprocess.run(command, check=True, capture_output=True)
    session = pkcs11.lib(MODULE).get_token(token_label="bench").open(rw=True, user_pin="1234")
    curve = session.create_domain_parameters(
        pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
    )
    _, key = curve.generate_keypair(store=True, label="bench")
    assert isinstance(key, pkcs11.SignMixin)
    digest = hashlib.sha256(b"bench").digest()
    return lambda _: key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)


def dsse_verifier() -> Callable[[int], object]:
    """Parse the envelope, decode, build the PAE, verify, parse the payload; 64 envelopes in turn."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    algorithm = ec.ECDSA(hashes.SHA256())
    now = datetime.now(UTC)
    statements = [
        statement("artifact", "0" * 64, "https://slsa.dev/provenance/v1", provenance(n, now)) for n in range(64)
    ]
    envelopes = [seal(key, payload) for payload in statements]

    def verify(number: int) -> object:
        outer = json.loads(envelopes[number % 64])
        payload = base64.b64decode(outer["payload"])
        public.verify(base64.b64decode(outer["signatures"][0]["sig"]), pae(payload), algorithm)
        return json.loads(payload)

    return verify


def appender(database: sqlite3.Connection) -> Callable[[int], object]:
    """One transaction: a record of 1.5 KB, its leaf hash, the head; durable when it returns."""
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE leaf (position INTEGER PRIMARY KEY, body BLOB, hash BLOB)")
    database.execute("CREATE TABLE head (size INTEGER)")
    database.execute("INSERT INTO head VALUES (0)")
    record = os.urandom(RECORD_BYTES)

    def append(_: int) -> object:
        database.execute("BEGIN IMMEDIATE")
        (size,) = database.execute("SELECT size FROM head").fetchone()
        database.execute("INSERT INTO leaf VALUES (?, ?, ?)", (size, record, hashlib.sha256(b"\0" + record).digest()))
        database.execute("UPDATE head SET size = ? WHERE size = ?", (size + 1, size))
        return database.execute("COMMIT")

    return append


def note_signer() -> Callable[[int], object]:
    """One Ed25519 signature over a checkpoint's text."""
    key = ed25519.Ed25519PrivateKey.generate()
    text = b"signing.example.com/ledger\n123456\n" + base64.b64encode(os.urandom(32)) + b"\n"
    return lambda _: key.sign(text)


if __name__ == "__main__":
    with reference_parts(Path(tempfile.gettempdir())) as parts:
        result = median([measure(parts) for _ in range(5)])
    for part in fields(result):
        print(f"{part.name:8}{getattr(result, part.name):9.1f} us")
    print(f"{'S':8}{result.total:9.1f} us")
