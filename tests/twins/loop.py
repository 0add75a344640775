"""The event loop whose clock jumps, in which the shipped classes run through a day in a second."""

from __future__ import annotations

from loopgauge.demo.virtual_time import Stalled, VirtualLoop, run_virtual

__all__ = ["Stalled", "VirtualLoop", "run_virtual"]
