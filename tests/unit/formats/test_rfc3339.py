# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from signer.errors import Malformed
from signer.formats.rfc3339 import format_time, parse_time

READ = [
    pytest.param("2026-11-23T10:00:00Z", datetime(2026, 11, 23, 10, tzinfo=UTC), id="UTC"),
    pytest.param("2026-11-23T10:00:00+00:00", datetime(2026, 11, 23, 10, tzinfo=UTC), id="zero offset"),
    pytest.param("2026-11-23T12:30:00+02:30", datetime(2026, 11, 23, 10, tzinfo=UTC), id="an offset"),
    pytest.param("2026-11-23T10:00:00.5Z", datetime(2026, 11, 23, 10, 0, 0, 500_000, UTC), id="tenths"),
    pytest.param("2026-11-23T10:00:00.123456789Z", datetime(2026, 11, 23, 10, 0, 0, 123_456, UTC), id="nanoseconds"),
]
REFUSED = [
    pytest.param("2026-11-23T10:00:00", id="P11 no offset"),
    pytest.param("2026-11-23", id="P11 a date alone"),
    pytest.param("2026-11-23T23:59:60Z", id="P11 a leap second"),
    pytest.param("9999-12-31T23:59:59Z", id="P11 year 9999"),
    pytest.param("0001-01-01T00:00:00Z", id="P11 year 1"),
    pytest.param("2026-02-30T00:00:00Z", id="a day that does not exist"),
    pytest.param("2026-11-23T24:00:00Z", id="hour 24"),
    pytest.param("2026-11-23T10:00:00+99:00", id="an impossible offset"),
    pytest.param("2026-11-23 10:00:00Z", id="a space"),
    pytest.param("2026-11-23t10:00:00z", id="lower case"),
    pytest.param("2026-11-23T10:00:00Z\n", id="a trailing newline"),
    pytest.param("2026-11-23T10:00Z", id="no seconds"),
    pytest.param("2026-11-23T10:00:00,5Z", id="a decimal comma"),
    pytest.param("\uff12026-11-23T10:00:00Z", id="a digit outside ASCII"),
    pytest.param("20261123T100000Z", id="basic format"),
    pytest.param("2026-W48-1T10:00:00Z", id="a week date"),
    pytest.param("", id="nothing"),
]


@pytest.mark.parametrize(("text", "time"), READ)
def test_reads(text: str, time: datetime) -> None:
    assert parse_time(text, what="time") == time


@pytest.mark.parametrize("text", REFUSED)
def test_refuses(text: str) -> None:
    with pytest.raises(Malformed):
        parse_time(text, what="time")


@given(
    st.datetimes(
        min_value=datetime(1971, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
        max_value=datetime(8999, 1, 1),  # noqa: DTZ001 - hypothesis wants naive bounds
        timezones=st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(
            lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
        ),
    )
)
def test_what_is_written_is_read_back(time: datetime) -> None:
    text = format_time(time)
    assert text.endswith("Z")
    assert parse_time(text, what="time") == time


def test_a_naive_time_is_never_written() -> None:
    with pytest.raises(ValueError):
        format_time(datetime(2026, 11, 23))  # noqa: DTZ001 - the point of the test
