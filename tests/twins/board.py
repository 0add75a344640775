"""Twin of the computer that the agent runs on: its state is what a test says."""

from __future__ import annotations

from edge_agent.ports import BoardState


class BoardTwin:
    """A board without a sensor for temperature, until a test gives it one."""

    def __init__(self) -> None:
        self.state = BoardState(disk_free_bytes=8e9, memory_available_bytes=5e8, load_1min=0.25, uptime_s=3600.0)

    def look(self) -> BoardState:
        return self.state
