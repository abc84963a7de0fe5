# SPDX-License-Identifier: Apache-2.0
"""Steps 7 and 8 of the signing cycle: from a durable ALLOW to the outcome leaf.

    ALLOW leaf ▸ halted? ▸ build payloads ▸ one key call each ▸ all signed and verified? ▸ timestamps ▸ outcome leaf

All or nothing: signed only when every output was signed and verified; unknown when any key call is; else failed.
A key call that has not begun five seconds after the judged instant does not begin any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from itertools import count

from policy.document import Environment
from policy.outputs import VSA
from signer.custodian.payloads import Identity, Payload, build_payloads
from signer.custodian.protocols import Tokens
from signer.custodian.records import Ended, Flight, Judged, Means, Verdict
from signer.custodian.stamping import Stamps, found, missing, stamping_of
from signer.custodian.standing import Standing
from signer.custodian.token_events import JobEnded, SigningJob, Stamped
from signer.domain.algorithm import Algorithm
from signer.errors import Malformed, SignerError, Unavailable
from signer.formats.rfc3339 import format_time
from signer.keys.keyring import Keyring, PinnedKey
from signer.ledger.documents import StoredDocument
from signer.ledger.leaves import Outcome, SignatureEntry
from signer.ledger.sequencer import Entry


class Signing:
    """The allowed decisions that are in work, and their key calls."""

    def __init__(
        self,
        *,
        identity: Identity,
        keyring: Keyring,
        tokens: Tokens,
        limits: Mapping[str, int],
        uses: Callable[[], Mapping[str, int]],
    ) -> None:
        """`limits` by a key's name; `uses` tells how often each key was called, by its key id, as the ledger knows."""
        self._limits = limits
        self._uses = uses
        self._identity = identity
        self._keyring = keyring
        self._token_pools = tokens
        self._stamps = Stamps(tokens)
        self._tickets = count(1)
        self._flights: dict[str, Flight] = {}
        self._jobs: dict[int, tuple[Flight, int]] = {}
        self._landed: list[tuple[Flight, str, str]] = []
        """Flights that need an outcome leaf now: (flight, reason, detail); no reason when all jobs ended."""

    @property
    def in_flight(self) -> Collection[str]:
        """Request ids between ALLOW and outcome."""
        return self._flights.keys()

    @property
    def landed(self) -> bool:
        """Whether an outcome waits to be appended."""
        return bool(self._landed)

    def keys_for(
        self, environment: Environment, *, subjects: int, standing: Standing, now: datetime
    ) -> Mapping[str, PinnedKey]:
        """The usable key of each format: configured, recorded, of its purpose, trusted, reachable; raises Unavailable.

        `subjects` tells how often the keys of images and artifacts are about to be called.
        """
        keys = {
            output.format: self._keyring.resolve(
                standing.key_name(output.key), purpose=output.purpose, pins=standing.pins
            )
            for output in environment.outputs
        }
        for name, key in keys.items():
            _require_trusted(key, standing=standing, now=now)
            self._require_unused(key, calls=1 if name == VSA else subjects)
            hindrance = self._token_pools.hindrance(key)
            if hindrance is not None:
                raise hindrance
        return keys

    def problem(self, name: str, *, standing: Standing, device: Callable[[PinnedKey], str], now: datetime) -> str:
        """Why key `name` cannot sign now; empty when it can. `device` says what its device says."""
        try:
            place = self._keyring.place(name)
            key = self._keyring.resolve(name, purpose=place.purpose, pins=standing.pins)
            life = standing.lives[name]
            if life.status != "active":
                return f"it is {life.status} in the role {life.role}"
            _require_trusted(key, standing=standing, now=now)
            self._require_unused(key, calls=1)
        except Unavailable as fault:
            return fault.detail
        return device(key)

    def timestamp_problems(self, *, standing: Standing, now: datetime) -> Iterator[str]:
        """Why an environment of a policy in force that needs timestamps cannot sign now."""
        for policy in standing.policies.values():
            for each in policy.environments.values():
                try:
                    stamping_of(each, standing=standing, hindrance=self._token_pools.stamp_hindrance, now=now)
                except Unavailable as fault:
                    yield f"environment {each.name} of policy {policy.name}: {fault.detail}: {fault.remedy}"

    def _require_unused(self, key: PinnedKey, *, calls: int) -> None:
        """A key with a limit is called that often and no more; raises Unavailable("key-exhausted")."""
        limit = self._limits.get(key.pin.name)
        if limit is None:
            return
        calling = sum(
            1 for flight in self._flights.values() for _, each in flight.outputs if each.pin.kid == key.pin.kid
        )
        used = self._uses().get(key.pin.kid, 0) + calling
        if used + calls > limit:
            raise Unavailable(
                "key-exhausted",
                f"key {key.pin.name} was called {used} times, and its limit is {limit}",
                remedy=f"make its successor sign: signer keys create NAME --succeeds {key.pin.name}",
            )

    def begin(self, judged: Judged, *, index: int, halted: bool) -> None:
        """Call the keys of a decision whose ALLOW leaf is durable at `index`."""
        flight = Flight(claim=judged.claim, index=index, stamping=judged.means.stamping)
        verdict = judged.verdict
        self._flights[judged.claim.request_id] = flight
        # 7 check halt …
        if halted:
            self._landed.append((flight, "halted", "signing is halted"))
            return
        # … build the payloads from the decision alone …
        try:
            payloads = self._payloads(verdict)
        except (SignerError, ValueError) as fault:
            self._landed.append((flight, "payload", f"no payload could be built: {type(fault).__name__}"))
            return
        # … and ask for the signatures; the worker looks at halt and age once more before each call.
        flight.outputs = tuple((payload, judged.means.keys[payload.format]) for payload in payloads)
        for position, (payload, key) in enumerate(flight.outputs):
            ticket = next(self._tickets)
            self._jobs[ticket] = (flight, position)
            data = payload.key_input(key.place.algorithm)
            self._token_pools.submit(SigningJob(ticket=ticket, key=key, data=data, begin_by=judged.begin_by))

    def means_of(self, verdict: Verdict, *, standing: Standing) -> Means:
        """What will honour an ALLOW: keys and timestamps; raises what `keys_for` and `stamping_of` raise.

        Raises Malformed("payload-too-large") for a statement too long for a key that signs whole messages.
        """
        environment = verdict.policy.environments[verdict.leaf.environment]
        keys = self.keys_for(environment, subjects=len(verdict.subjects), standing=standing, now=verdict.time)
        hindrance = self._token_pools.stamp_hindrance
        stamping = stamping_of(environment, standing=standing, hindrance=hindrance, now=verdict.time)
        means = Means(keys=keys, stamping=stamping)
        if all(key.place.message_limit is None for key in keys.values()):
            return means
        for payload in self._payloads(verdict):
            key = keys[payload.format]
            size, limit = len(payload.key_input(Algorithm.ED25519)), key.place.message_limit
            if limit is not None and size > limit:
                raise Malformed(
                    "payload-too-large",
                    f"the statement has {size} bytes, and key {key.place.name} signs at most {limit} with Ed25519",
                    remedy="name fewer subjects in one request, or give the environment a key of another algorithm",
                )
        return means

    def _payloads(self, verdict: Verdict) -> tuple[Payload, ...]:
        return build_payloads(
            identity=self._identity,
            policy=verdict.policy,
            environment=verdict.leaf.environment,
            subjects=verdict.subjects,
            facts=verdict.facts,
            decision=verdict.decision,
            request_id=verdict.leaf.request,
            time=verdict.time,
            evidence=verdict.evidence,
        )

    def hear(self, event: JobEnded | Stamped) -> None:
        """Take the end of one key call, or of one question for a timestamp."""
        if isinstance(event, Stamped):
            done = self._stamps.hear(event)
            if done is not None:
                self._landed.append((done, "", ""))
            return
        flight, position = self._jobs.pop(event.ticket)
        flight.ended[position] = event
        if len(flight.ended) == len(flight.outputs) and not self._stamps.begin(flight):
            self._landed.append((flight, "", ""))

    def take_outcomes(self, *, standing: Standing | None, time: datetime) -> list[Ended]:
        """Outcome leaves of all decisions whose key calls have ended; nothing of a compromised key is released."""
        landed, self._landed = self._landed, []
        compromised = frozenset[str]() if standing is None else standing.compromised
        ended = []
        for flight, reason, detail in landed:
            lost = [key.pin.name for _, key in flight.outputs if key.pin.kid in compromised]
            if lost and not reason:
                why, what = "key-compromised", f"key {lost[0]} was reported compromised"
                ended.append(_outcome(flight, reason=why, detail=what, time=time))
            else:
                ended.append(_outcome(flight, reason=reason, detail=detail, time=time))
        return ended

    def close(self, flight: Flight) -> None:
        """Forget a decision whose outcome is durable, or could not be stored: the sweep then finds it."""
        self._flights.pop(flight.claim.request_id, None)


def _outcome(flight: Flight, *, reason: str, detail: str, time: datetime) -> Ended:
    ends = [flight.ended[position] for position in sorted(flight.ended)]
    status = "failed"
    if not reason:
        missed = next((end for end in ends if end.status == "unknown"), None)
        missed = missed or next((end for end in ends if end.status != "signed"), None)
        status, reason, detail = ("signed", "", "") if missed is None else (missed.status, missed.reason, missed.detail)
        untimed = missing(flight) if missed is None else None
        if untimed is not None:
            status, reason, detail = "failed", "timestamp", untimed
    signatures: list[SignatureEntry] = []
    documents: list[StoredDocument] = []
    for position, ((payload, key), end) in enumerate(zip(flight.outputs, ends, strict=False)):
        kept = None
        timestamp, timestamps = found(flight, position)
        if status == "signed":
            kept, *others = payload.signed(kid=key.pin.kid, signature=end.signature, timestamps=timestamps)
            documents += (kept, *others)
        # A signature beside one that failed was made and is dropped: its entry says signed and names no bundle.
        signatures.append(
            SignatureEntry(
                format=payload.format,
                payload=payload.sha256,
                kid=key.pin.kid,
                attempts=end.attempts,
                result=end.status,
                bundle=None if kept is None else kept.digest,
                timestamp=timestamp,
            )
        )
    leaf = Outcome(
        time=format_time(time),
        request=flight.claim.request_id,
        decision=flight.index,
        status=status,
        reason=reason,
        signatures=tuple(signatures),
    )
    return Ended(flight=flight, status=status, reason=reason, detail=detail, entries=(Entry(leaf, tuple(documents)),))


def _require_trusted(key: PinnedKey, *, standing: Standing, now: datetime) -> None:
    listed = standing.trust.key(key.pin.kid) if standing.trust is not None else None
    if listed is None or listed.status != "active" or listed.purpose != key.pin.purpose:
        raise Unavailable(
            "key-not-trusted",
            f"the trust document in force does not list key {key.pin.name} as active",
            remedy="the owners sign a trust document with this key: `signer trust update`",
        )
    if now < listed.not_before or (listed.not_after is not None and now >= listed.not_after):
        raise Unavailable(
            "key-not-trusted",
            f"the trust document in force does not trust key {key.pin.name} at this instant",
            remedy="the owners sign a trust document with a key that is valid now",
        )
