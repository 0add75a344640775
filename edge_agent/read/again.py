"""What devices say when they are asked out of schedule: for a person who wants to know now. Pure; kept nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from data_contract.control import DeviceAnswer
from data_contract.reading import Quality, is_pseudonym
from edge_agent.errors import NotSampled

ROOM_OF_DEVICE, ROOM_OF_FIELD = 80, 40
"""Bytes that a device and one of its fields take in an answer at most, beside their names."""
DETAIL_MAX = 120
"""Characters of what a bus says of a device."""


class Again:
    """The answers so far. `device`: only this one is asked; None: all."""

    def __init__(self, device: str | None) -> None:
        self._device = device
        self._answers: dict[str, DeviceAnswer] = {}

    def wants(self, device: str) -> bool:
        """Whether a device is asked."""
        return self._device in (None, device)

    def heard(self, device: str, values: Mapping[str, tuple[float | None, Quality]]) -> None:
        """A request brought these values."""
        answer = self._of(device)
        for name, (value, quality) in values.items():
            if is_pseudonym(name):
                continue  # whose card it was is nobody's business at the other end
            answer.values[name] = value
            if quality is not Quality.GOOD:
                answer.quality[name] = int(quality)

    def missed(self, device: str, fields: Iterable[str], why: NotSampled) -> None:
        """A request brought none of these fields."""
        answer = self._of(device)
        answer.missing.update(dict.fromkeys(fields, why.cause.value))
        self._answers[device] = answer.model_copy(update={"detail": why.detail[:DETAIL_MAX]})

    def _of(self, device: str) -> DeviceAnswer:
        return self._answers.setdefault(device, DeviceAnswer(device=device, values={}, quality={}, missing={}))

    @property
    def counts(self) -> tuple[int, int]:
        """Fields that were read, and that were not."""
        answers = self._answers.values()
        return sum(len(each.values) for each in answers), sum(len(each.missing) for each in answers)

    def answers(self, *, bytes_max: int) -> tuple[tuple[DeviceAnswer, ...], int]:
        """What fits into so many bytes, by device, and how many fields were left out."""
        room, left_out = bytes_max, 0
        shown: list[DeviceAnswer] = []
        for device, answer in sorted(self._answers.items()):
            room -= ROOM_OF_DEVICE + len(device) + 6 * len(answer.detail)
            fits: set[str] = set()
            for name in (*answer.values, *answer.missing):
                room -= ROOM_OF_FIELD + 2 * len(name)
                if room >= 0:
                    fits.add(name)
                else:
                    left_out += 1
            if fits:
                shown.append(_only(answer, fits))
        return tuple(shown), left_out


def _only(answer: DeviceAnswer, names: set[str]) -> DeviceAnswer:
    return DeviceAnswer(
        device=answer.device,
        values={name: value for name, value in answer.values.items() if name in names},
        quality={name: quality for name, quality in answer.quality.items() if name in names},
        missing={name: cause for name, cause in answer.missing.items() if name in names},
        detail=answer.detail,
    )
