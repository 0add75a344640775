"""How a worker is: as metrics for Prometheus, as one line for an operator. Pure; it only looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ingest.tally import Tally
from service_health.metric import Metric, Sample, by_label, counter, gauge

_P = "loopgauge_ingest_"
STORED = ("messages", "batches", "readings", "replayed")
"""What `Worker.counts` counts beside the reasons of refusals."""


@dataclass(frozen=True, slots=True)
class State:
    """What there is to report, as it is now. Times in ms of civil time, counts since the start."""

    version: str
    worker: str
    now_ms: int
    connected: bool
    connections: int
    waiting_messages: int
    waiting_bytes: int
    waiting_gateways: int
    dropped: Mapping[tuple[str, str], int]
    counts: Mapping[str, int]
    refused_names: Mapping[str, int]
    away: frozenset[str]
    tally: Tally
    dead_letters: int
    dead_letter_bytes: int
    parked: int
    overdue: Mapping[str, float]


def metrics(state: State) -> list[Metric]:
    """All figures of a worker, in base units."""
    tally = state.tally
    refused = {reason: float(count) for reason, count in state.counts.items() if reason not in STORED}
    lags = {name: (state.now_ms - each.to_ms) / 1000 for name, each in tally.heard.items() if each.to_ms}
    last = {name: each.at_ms / 1000 for name, each in tally.heard.items()}
    return [
        Metric(
            f"{_P}info",
            "Version and name of this worker",
            "gauge",
            (Sample(1.0, {"version": state.version, "worker": state.worker}),),
        ),
        gauge(f"{_P}connected", "1 while the broker is connected", float(state.connected)),
        counter(f"{_P}connections_total", "Connections to the broker that came about", state.connections),
        counter(f"{_P}messages_total", "Messages that were let in", state.counts.get("messages", 0)),
        counter(f"{_P}batches_total", "Batches that were acknowledged", state.counts.get("batches", 0)),
        counter(f"{_P}readings_total", "Readings stored and acknowledged", state.counts.get("readings", 0)),
        counter(f"{_P}redelivered_total", "Batches that this worker had acknowledged before", tally.redelivered),
        by_label(f"{_P}refused_total", "Messages refused by their header", "counter", "reason", refused),
        Metric(
            f"{_P}dropped_total",
            "Messages for which a lane had no room; empty: gateways not yet admitted",
            "counter",
            tuple(
                Sample(float(count), {"reason": reason, "gateway": lane})
                for (reason, lane), count in sorted(state.dropped.items())
            ),
        ),
        gauge(f"{_P}waiting_messages", "Messages that wait to be decoded", state.waiting_messages),
        gauge(f"{_P}waiting_bytes", "Bytes of these", state.waiting_bytes),
        gauge(f"{_P}waiting_gateways", "Gateways of which any waits", state.waiting_gateways),
        counter(f"{_P}dead_letters_total", "Dead letters made", state.dead_letters),
        counter(f"{_P}replayed_total", "Dead letters that were stored after all", state.counts.get("replayed", 0)),
        by_label(
            f"{_P}refused_names_total",
            "Names of devices, kinds and fields beyond a gateway's bounds, counted with each message",
            "counter",
            "of",
            {what: float(count) for what, count in state.refused_names.items()},
        ),
        gauge(f"{_P}dead_letter_bytes", "Size of all dead letters that lie there", state.dead_letter_bytes),
        gauge(f"{_P}store_away", "1 while the store takes nothing", float("store" in state.away)),
        gauge(f"{_P}dead_letters_away", "1 while dead letters cannot be kept", float("dead letters" in state.away)),
        counter(f"{_P}store_writes_total", "Attempts to write to the store", tally.writes),
        counter(f"{_P}store_failed_writes_total", "Of these, such as are tried again", tally.failed_writes),
        counter(f"{_P}store_write_seconds_total", "Time that all attempts took", tally.write_s),
        gauge(f"{_P}store_write_seconds", "Time that the last attempt took", tally.last_write_s),
        gauge(f"{_P}parked_boards", "Boards that wait to be allowed", state.parked),
        by_label(f"{_P}last_heard_timestamp_seconds", "When a batch was last acknowledged", "gauge", "gateway", last),
        by_label(f"{_P}lag_seconds", "Age of the newest reading's interval", "gauge", "gateway", lags),
        gauge(f"{_P}overdue_tasks", "Tasks that have broken their promise", len(state.overdue)),
    ]


def status(state: State) -> str:
    """One line, as `systemctl status` shows it."""
    said = ["connected" if state.connected else "broker away"]
    said += [f"{what} away" for what in sorted(state.away)]
    said.append(f"{state.counts.get('readings', 0)} readings from {len(state.tally.heard)} gateways")
    if state.waiting_messages:
        said.append(f"{state.waiting_messages} messages waiting")
    if state.dropped:
        said.append(f"{sum(state.dropped.values())} dropped")
    if state.parked:
        said.append(f"{state.parked} boards parked")
    if state.overdue:
        said.append(f"overdue: {', '.join(sorted(state.overdue))}")
    return "; ".join(said)
