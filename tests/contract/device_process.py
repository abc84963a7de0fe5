# SPDX-License-Identifier: Apache-2.0
"""A backend in a process of its own, as a token worker has it: vendor modules do not share one.

python -m tests.contract.device_process       # frames of msgpack on stdin and stdout
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import msgspec

from signer.domain.algorithm import Algorithm
from signer.keys.backend import FoundKey, KeyFault, Scope
from signer.keys.devices import Device, open_backend
from signer.keys.uri import KeyUri, parse_uri


class Ask(msgspec.Struct, kw_only=True):
    deed: str
    uri: str
    algorithm: Algorithm
    data: bytes = b""


class Answer(msgspec.Struct, kw_only=True):
    data: bytes = b""
    protection: str = ""
    code: str = ""
    detail: str = ""
    scope: str = ""
    touched: bool = False
    remedy: str = ""


class DeviceProcess:
    """A KeyBackend whose work another process does; raises KeyFault."""

    def __init__(self, device: Device, *, environment: Mapping[str, str]) -> None:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.device_process"],
            env={**inherited, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._exchange(msgspec.msgpack.encode(device))

    def public_key(self, uri: KeyUri, algorithm: Algorithm) -> FoundKey:
        answer = self._do(Ask(deed="find", uri=str(uri), algorithm=algorithm))
        return FoundKey(spki=answer.data, protection=answer.protection)

    def generate(self, uri: KeyUri, algorithm: Algorithm) -> FoundKey:
        answer = self._do(Ask(deed="make", uri=str(uri), algorithm=algorithm))
        return FoundKey(spki=answer.data, protection=answer.protection)

    def sign(self, uri: KeyUri, algorithm: Algorithm, data: bytes) -> bytes:
        return self._do(Ask(deed="sign", uri=str(uri), algorithm=algorithm, data=data)).data

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _do(self, ask: Ask) -> Answer:
        return self._exchange(msgspec.msgpack.encode(ask))

    def _exchange(self, body: bytes) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(len(body).to_bytes(4) + body)
        self._process.stdin.flush()
        size = int.from_bytes(self._process.stdout.read(4))
        answer = msgspec.msgpack.decode(self._process.stdout.read(size), type=Answer)
        if answer.code:
            raise KeyFault(
                answer.code, answer.detail, scope=Scope(answer.scope), touched=answer.touched, remedy=answer.remedy
            )
        return answer


def main() -> None:
    frames = iter(lambda: sys.stdin.buffer.read(int.from_bytes(sys.stdin.buffer.read(4))), b"")

    def tell(answer: Answer) -> None:
        body = msgspec.msgpack.encode(answer)
        sys.stdout.buffer.write(len(body).to_bytes(4) + body)
        sys.stdout.buffer.flush()

    def refuse(fault: KeyFault) -> None:
        tell(
            Answer(
                code=fault.code,
                detail=fault.detail,
                scope=fault.scope.value,
                touched=fault.touched,
                remedy=fault.remedy,
            )
        )

    try:
        backend = open_backend(msgspec.msgpack.decode(next(frames), type=Device))
    except KeyFault as fault:
        refuse(fault)
        return
    tell(Answer())
    for frame in frames:
        ask = msgspec.msgpack.decode(frame, type=Ask)
        uri = parse_uri(ask.uri)
        try:
            if ask.deed == "sign":
                tell(Answer(data=backend.sign(uri, ask.algorithm, ask.data)))
                continue
            found = (backend.public_key if ask.deed == "find" else backend.generate)(uri, ask.algorithm)
            tell(Answer(data=found.spki, protection=found.protection))
        except KeyFault as fault:
            refuse(fault)


if __name__ == "__main__":
    main()
