"""Who is silent and why: the page must not cry wolf, and must not be quiet about a dead meter."""

from __future__ import annotations

import pytest

from data_contract.batch import Counts
from data_contract.receipt import BatchReceipt, DeviceReceipt, write
from data_contract.schedule import Poll, Schedule
from series_store.table import Receipt
from web_console.silence import (
    CAUSES,
    GATEWAY_SILENT,
    NO_REASON,
    NOT_POLLED,
    cause_of,
    heard,
    missing_since,
    silence_of_device,
    silence_of_gateway,
)

T = 1_767_240_000_000
MINUTE = 60_000
SCHEDULE = Schedule(
    seal_every_ms=10_000,
    polls=(
        Poll(device="m1", kind="water_meter", group="main", every_ms=10_000, fields=("volume_m3",)),
        Poll(device="m1", kind="water_meter", group="slow", every_ms=600_000, fields=("error_bits",)),
    ),
)


def receipt(
    to_ms: int = T, seq: int = 1, missing: dict[str, int] | None = None, counts: str | None = None, run: str = "r"
) -> Receipt:
    lost = missing or {}
    called: Counts = (10, 10 - sum(lost.values()), lost)
    text = write(BatchReceipt(devices={"m1": DeviceReceipt({"main": called})}, pending=(("r", 3, 7),)))
    return Receipt(
        at_us=(to_ms + 500) * 1000,
        gateway="gw-1",
        worker="w",
        run=run,
        seq=seq,
        from_ms=to_ms - 10_000,
        to_ms=to_ms,
        readings=10,
        bad=0,
        counts=text if counts is None else counts,
    )


def test_a_device_that_misses_one_reading_is_not_silent_and_one_that_misses_two_is() -> None:
    said = heard(receipt(), SCHEDULE)
    assert silence_of_device(said, "m1", T - 25_000, SCHEDULE, []) is None
    silence = silence_of_device(said, "m1", T - 25_001, SCHEDULE, [])
    assert silence is not None
    assert silence.since_ms == T - 25_001


def test_the_cause_is_what_the_gateway_counted_since_the_device_fell_silent() -> None:
    since = T - 5 * MINUTE
    recent = [
        receipt(since, 1, {"exception": 5}),
        receipt(since + 10_000, 2, {"timeout": 3}),
        receipt(since + 20_000, 3, {"asleep": 10}),
        receipt(since + 20_000, 3, {"asleep": 10}),
        receipt(T, 4, {"asleep": 10}),
    ]
    silence = silence_of_device(heard(receipt(), SCHEDULE), "m1", since, SCHEDULE, recent)
    assert silence is not None
    assert silence.cause == "timeout"
    assert silence.missing == {"timeout": 3, "asleep": 20}


@pytest.mark.parametrize(
    "missing, polled, cause",
    [
        ({"asleep": 500, "timeout": 1}, True, "timeout"),
        ({"asleep": 500}, True, "asleep"),
        ({"bus_down": 7, "timeout": 3}, True, "bus_down"),
        ({}, True, NO_REASON),
        ({}, False, NOT_POLLED),
        ({"something_new": 4}, True, "something_new"),
    ],
)
def test_sleep_is_never_named_where_its_own_cause_is_known(missing: dict[str, int], polled: bool, cause: str) -> None:
    assert cause_of(missing, polled) == cause


def test_a_device_that_is_not_in_the_schedule_is_said_to_be_no_longer_polled() -> None:
    silence = silence_of_device(heard(receipt(), SCHEDULE), "m9", T - 60 * MINUTE, SCHEDULE, [])
    assert silence is not None
    assert silence.cause == NOT_POLLED


def test_a_device_that_never_spoke_is_silent_without_a_beginning() -> None:
    silence = silence_of_device(heard(receipt(), SCHEDULE), "m1", None, SCHEDULE, [receipt(missing={"bus_down": 10})])
    assert silence is not None
    assert (silence.since_ms, silence.cause) == (None, "bus_down")


def test_a_gateway_is_silent_when_three_batches_and_their_way_have_passed() -> None:
    said = heard(receipt(), SCHEDULE)
    at_ms = said.at_ms
    assert silence_of_gateway(said, at_ms + 60_000, grace_ms=30_000) is None
    silence = silence_of_gateway(said, at_ms + 60_001, grace_ms=30_000)
    assert silence is not None
    assert (silence.device, silence.since_ms, silence.cause) == (None, T, GATEWAY_SILENT)


def test_a_gateway_whose_clock_runs_ahead_is_not_taken_for_silent() -> None:
    said = heard(receipt(T + 60 * MINUTE), SCHEDULE)
    assert silence_of_gateway(said, T, grace_ms=30_000) is None


def test_a_receipt_that_cannot_be_read_hides_nothing_else() -> None:
    broken = receipt(T, 5, counts="[1")
    assert heard(broken, None).pending == 0
    assert heard(receipt(), None).pending == 5
    assert missing_since([broken, receipt(T, 6, {"timeout": 2})], "m1", 0) == {"timeout": 2}


def test_every_cause_that_a_gateway_can_count_has_words() -> None:
    from data_contract.cause import Missing

    assert all(cause in CAUSES for cause in Missing)
