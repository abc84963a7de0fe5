# SPDX-License-Identifier: Apache-2.0
"""deployment.freeze: no release while a freeze window is open.

    windows: [2026-12-19T00:00:00Z/2027-01-04T00:00:00Z, "fri 15:00/mon 08:00"]

A window is two instants, or two times of the week in UTC; it begins with the first and ends before the second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from policy.decision import Outcome
from policy.judgement import Judgement
from policy.rule import Case, Parameter, RuleType
from policy.schema import MAX_TEXT, Section
from policy.sense import Kind, Sense
from policy.trust import Trust
from policy.wording import moment, quote

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_WEEKLY: Final = re.compile(r"(mon|tue|wed|thu|fri|sat|sun) ([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Once:
    """From one instant until before another."""

    text: str
    begin: datetime
    end: datetime

    def ends(self, now: datetime) -> datetime | None:
        """When the window that is open at `now` ends; None when none is."""
        return self.end if self.begin <= now < self.end else None


@dataclass(frozen=True, slots=True)
class Weekly:
    """From one time of every week until before another; both count from Monday 00:00 UTC."""

    text: str
    begin: timedelta
    end: timedelta

    def ends(self, now: datetime) -> datetime | None:
        """When the window that is open at `now` ends; None when none is."""
        at = now.astimezone(UTC)
        monday = at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=at.weekday())
        length = (self.end - self.begin) % _WEEK
        for week in (monday - _WEEK, monday):
            begin = week + self.begin
            if begin <= at < begin + length:
                return begin + length
        return None


Window = Once | Weekly


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeDemand:
    """Parameters of deployment.freeze."""

    windows: tuple[Window, ...]
    reason: str


def _read(section: Section, _: Trust) -> FreezeDemand:
    windows = []
    for text in section.words("windows"):
        window = _window(text)
        if window is None:
            raise section.refuse(
                "windows",
                f"{quote(text)} is no window",
                remedy="write 2026-12-19T00:00:00Z/2027-01-04T00:00:00Z, or fri 15:00/mon 08:00, both in UTC",
            )
        windows.append(window)
    reason = section.text("reason")
    if not reason.isprintable():
        raise section.refuse("reason", "must be one line", remedy=f"write 1 to {MAX_TEXT} printable characters")
    return FreezeDemand(windows=tuple(windows), reason=reason)


def _window(text: str) -> Window | None:
    begin, _, end = text.partition("/")
    if _INSTANT.fullmatch(begin) and _INSTANT.fullmatch(end):
        try:
            once = Once(text, datetime.fromisoformat(begin), datetime.fromisoformat(end))
        except ValueError:
            return None
        return once if once.begin < once.end else None
    first, second = _WEEKLY.fullmatch(begin), _WEEKLY.fullmatch(end)
    if first is None or second is None or begin == end:
        return None
    return Weekly(text, _of_week(first), _of_week(second))


def _of_week(found: re.Match[str]) -> timedelta:
    return timedelta(days=DAYS.index(found[1]), hours=int(found[2]), minutes=int(found[3]))


def _judge(demand: FreezeDemand, case: Case) -> Judgement:
    open_now = list(_open(demand, case.now))
    if not open_now:
        return Judgement(outcome=Outcome.PASS, cause="", found=f"{moment(case.now)}, in no window")
    ends, window = max(open_now, key=lambda each: each[0])
    return Judgement(
        outcome=Outcome.FROZEN,
        cause=f"frozen until {moment(ends)}: {quote(demand.reason)}",
        found=f"{moment(case.now)}, in the window {window.text}",
        remedy=f"the release manager sends the same request again from {moment(ends)} on: signer sign",
    )


def _open(demand: FreezeDemand, now: datetime) -> Iterator[tuple[datetime, Window]]:
    for window in demand.windows:
        ends = window.ends(now)
        if ends is not None:
            yield ends, window


FREEZE = RuleType(
    code="deployment.freeze",
    control="deployment",
    title="No release in a freeze window",
    description=(
        "While nobody is there to mend it, or the business cannot bear an outage, nothing new goes out. The windows "
        "stand in the policy, where the owners sign them; nobody's role lifts them. While frozen, a request is "
        "answered with 423 and exit code 13, and the same request is judged anew when it is sent again."
    ),
    success="falls in no freeze window",
    failure="falls in a freeze window",
    remedy="the release manager sends the same request again after the window: signer sign",
    supply="the release manager sends the same request again after the window: signer sign",
    evidence="None: the judged instant alone.",
    parameters=(
        Parameter(
            name="windows",
            sense=Sense(kind=Kind.DEMANDS),
            kind="list of windows",
            required=True,
            meaning="`2026-12-19T00:00:00Z/2027-01-04T00:00:00Z`, or every week `fri 15:00/mon 08:00`, both in UTC",
        ),
        Parameter(
            name="reason",
            sense=Sense(kind=Kind.SAYS),
            kind="text",
            required=True,
            meaning="why, for those who have to wait; one line",
        ),
    ),
    example="{id: FRZ-1, type: deployment.freeze, control: deployment, level: minimum, "
    'windows: ["fri 15:00/mon 08:00"], reason: no release into the weekend}',
    needs_provenance=False,
    read=_read,
    require=lambda demand: f"a judged instant outside {', '.join(window.text for window in demand.windows)} (UTC)",
    judge=_judge,
    ceiling=lambda _: "minimum",
    endings=lambda _: (Outcome.PASS, Outcome.FROZEN),
    stage="release",
    rests_on_evidence=False,
)
