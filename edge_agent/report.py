"""How the agent is: as the gateway's own readings, as a line for a technician, as metrics. Pure; it only looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edge_agent.keep.spool import Spool
from edge_agent.keep.tally import Tally
from edge_agent.keep.wear import Wear
from edge_agent.own_device import Vitals
from edge_agent.ports import Board, Clock
from edge_agent.read.poller import Poller
from edge_agent.send.commands import Commands
from edge_agent.send.flight import Flight
from edge_agent.send.sender import UNANSWERED, Sender
from edge_agent.send.suspicion import Cause
from service_health.metric import Metric, Sample, by_label, counter, gauge
from service_health.promises import Promises

BUS = "bus "
"""How the name of a task begins that polls a bus."""


class Report:
    """Looks at the parts of a running agent. `now_s` is the clock of the event loop, in s."""

    def __init__(
        self,
        *,
        version: str,
        clock: Clock,
        board: Board,
        spool: Spool,
        flight: Flight,
        sender: Sender,
        commands: Commands,
        tally: Tally,
        promises: Promises,
        backsteps: Callable[[], int],
        pollers: Mapping[str, Poller],
        devices: int,
        spool_bytes_max: int,
        now_s: Callable[[], float],
    ) -> None:
        """`pollers` by task, filled later; on all buses together are `devices`."""
        self._version = version
        self._clock = clock
        self._board = board
        self._spool = spool
        self._flight = flight
        self._sender = sender
        self._commands = commands
        self._tally = tally
        self._promises = promises
        self._backsteps = backsteps
        self._pollers = pollers
        self._devices = devices
        self._spool_bytes_max = spool_bytes_max
        self._now_s = now_s
        self._wear = Wear()

    def vitals(self) -> Vitals:
        """What the gateway samples of itself."""
        civil, (batches, size), now_s = self._clock.civil(), self._sender.waiting(), self._now_s()
        oldest_ms = self._spool.oldest_ms
        age_ms = civil.utc_ms - oldest_ms if batches and oldest_ms is not None else 0
        return Vitals(
            spool_batches=batches,
            spool_bytes=size,
            spool_oldest_s=max(0, age_ms) / 1000,
            spool_full_s=self._sender.full_s(size, self._spool_bytes_max, self._board.look().disk_free_bytes, now_s),
            drain_s=self._sender.drain_s(size, now_s),
            unconfirmed_s=self._sender.unconfirmed_s(now_s),
            unconfirmed_cause=self._sender.cause(now_s),
            connected=self._sender.connected,
            clock_trusted=civil.trusted,
            clock_waiting=self._spool.held.undated,
            clock_backsteps=self._backsteps(),
            written_bytes_day=self._wear.bytes_day(self._now_s(), self._board.look().written_bytes),
        )

    def status(self) -> str:
        """One line, as `systemctl status` shows it; what is wrong comes first."""
        vitals = self.vitals()
        hung = self._promises.broken()
        said = [f"{', '.join(sorted(hung))} hung"] if hung else []
        if not vitals.clock_trusted:
            said.append("clock not synchronised")
        said.append(f"{_many(len(self._buses()), 'bus', 'buses')}, {self._silent()}")
        said.append(f"{_many(vitals.spool_batches, 'batch', 'batches')} on disk")
        said.append(f"broker {'connected' if vitals.connected else 'not connected'}, {self._confirmed()}")
        if vitals.unconfirmed_cause not in (Cause.NONE, Cause.BROKER):
            said.append(f"suspected: {vitals.unconfirmed_cause.title}")
        return "; ".join(said)

    def _buses(self) -> dict[str, Poller]:
        return {task.removeprefix(BUS): each for task, each in self._pollers.items() if task.startswith(BUS)}

    def _silent(self) -> str:
        silent = sum(poller.silent for poller in self._buses().values())
        return f"{silent} of {_many(self._devices, 'device', 'devices')} silent"

    def _confirmed(self) -> str:
        last_s = self._flight.last_ack_s
        return "nothing confirmed yet" if last_s is None else f"last confirmed {self._now_s() - last_s:.0f} s ago"

    def metrics(self) -> Sequence[Metric]:
        """Everything under `loopgauge_edge_`. Labels are devices, buses and causes: as many as the site file has."""
        return [*self._of_readings(), *self._of_delivery(), *self._of_program()]

    def _of_readings(self) -> list[Metric]:
        missing = [
            Sample(readings, {"device": device, "cause": cause})
            for (device, cause), readings in sorted(self._tally.missing.items())
        ]
        silent = {name: float(poller.silent) for name, poller in self._buses().items()}
        return [
            by_label(
                "loopgauge_edge_readings_sampled_total",
                "Readings sealed, by device.",
                "counter",
                "device",
                self._tally.sampled,
            ),
            Metric(
                "loopgauge_edge_readings_missing_total",
                "Readings called for and not sampled, by device and cause.",
                "counter",
                missing,
            ),
            by_label("loopgauge_edge_devices_silent", "Devices that do not answer, by bus.", "gauge", "bus", silent),
        ]

    def _of_delivery(self) -> list[Metric]:
        vitals, sender = self.vitals(), self._sender
        unanswered = sum(b - a + 1 for _, a, b, reason in self._spool.aside if reason == UNANSWERED)
        return [
            counter("loopgauge_edge_batches_sealed_total", "Batches sealed on disk.", self._tally.batches),
            counter("loopgauge_edge_messages_sent_total", "Messages the broker took, repeats included.", sender.sent),
            counter("loopgauge_edge_messages_redelivered_total", "Messages sent again.", sender.redelivered),
            counter("loopgauge_edge_batches_confirmed_total", "Batches the cloud confirmed.", sender.acknowledged),
            counter("loopgauge_edge_foreign_acks_total", "Acks of nothing in flight.", self._flight.foreign_acks),
            gauge("loopgauge_edge_batches_unanswered", "Batches set aside, never answered.", unanswered),
            gauge("loopgauge_edge_spool_batches", "Batches on disk, not confirmed.", vitals.spool_batches),
            gauge("loopgauge_edge_spool_bytes", "Bytes of these batches.", vitals.spool_bytes),
            gauge("loopgauge_edge_spool_oldest_seconds", "Age of the oldest of them.", vitals.spool_oldest_s),
            gauge("loopgauge_edge_spool_full_seconds", "Until it has no room, if cut off now.", vitals.spool_full_s),
            gauge("loopgauge_edge_drain_seconds", "Until the backlog is stored; a year if never.", vitals.drain_s),
            gauge("loopgauge_edge_goodput_bytes_per_second", "What the uplink carries.", self._flight.goodput or 0),
            gauge("loopgauge_edge_unconfirmed_seconds", "Publishing without any ack since.", vitals.unconfirmed_s),
            by_label(
                "loopgauge_edge_unconfirmed_cause",
                "1 for what is suspected to keep batches from being confirmed.",
                "gauge",
                "cause",
                {cause.name.lower(): float(cause is vitals.unconfirmed_cause) for cause in Cause if cause},
            ),
            gauge("loopgauge_edge_flight_batches", "Batches under way.", self._flight.batches),
            gauge("loopgauge_edge_flight_bytes", "Bytes under way.", self._flight.bytes),
            gauge("loopgauge_edge_connected", "1 while connected to the broker.", vitals.connected),
            counter("loopgauge_edge_connects_total", "Connections made to the broker.", sender.connects),
            by_label(
                "loopgauge_edge_commands_obeyed_total",
                "Commands admitted, by verb.",
                "counter",
                "verb",
                self._commands.obeyed,
            ),
            by_label(
                "loopgauge_edge_commands_refused_total",
                "Commands refused, by reason.",
                "counter",
                "reason",
                self._commands.refused,
            ),
        ]

    def _of_program(self) -> list[Metric]:
        written = self._board.look().written_bytes
        found = [
            gauge("loopgauge_edge_clock_trusted", "1 while civil time is synchronised.", self._clock.civil().trusted),
            gauge("loopgauge_edge_clock_waiting_batches", "Batches that wait for it.", self._spool.held.undated),
            counter("loopgauge_edge_clock_backsteps_total", "Times civil time was put back.", self._backsteps()),
            gauge("loopgauge_edge_tasks_hung", "Tasks that broke their promise.", len(self._promises.broken())),
            Metric(
                "loopgauge_edge_build_info", "The program's version.", "gauge", (Sample(1, {"version": self._version}),)
            ),
        ]
        if written is not None:
            text = "Bytes this process has had written to storage."
            found.append(counter("loopgauge_edge_storage_written_bytes_total", text, written))
        if (per_day := self.vitals().written_bytes_day) is not None:
            text = "Bytes written to storage in a day, at the rate of the last hour."
            found.append(gauge("loopgauge_edge_storage_written_bytes_per_day", text, per_day))
        return found


def _many(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
