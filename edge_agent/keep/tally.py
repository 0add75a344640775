"""What has been sealed since the agent began: readings by device, and by cause where there are none."""

from __future__ import annotations

from collections import Counter

from data_contract.batch import Body


class Tally:
    """Running totals of the batches of this run. Devices and causes are few and fixed, so is its size."""

    def __init__(self) -> None:
        self.batches = 0
        self.sampled: Counter[str] = Counter()
        """By device."""
        self.missing: Counter[tuple[str, str]] = Counter()
        """By device and cause."""

    def sealed(self, body: Body) -> None:
        """Count a batch that is durable."""
        self.batches += 1
        for name, device in body.devices.items():
            for _, sampled, causes in device.counts.values():
                self.sampled[name] += sampled
                for cause, readings in causes.items():
                    self.missing[name, cause] += readings
