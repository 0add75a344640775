"""What batches and letters would bring into the store's index, and what of it there is no room for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from data_contract.batch import Batch
from data_contract.reading import is_field
from series_store.names import EVENT, EVENT_TEXT, RESERVED, SUMMARY

_MEND = "mend the gateway, or raise it in the worker's file and replay"
TOO_MANY_DEVICES = f"more names of devices than devices_per_gateway_max allows: {_MEND}"
TOO_MANY_KINDS = f"more kinds of devices and records than kinds_per_gateway_max allows: {_MEND}"
TOO_MANY_FIELDS = f"more fields of devices than fields_per_gateway_max allows: {_MEND}"

RowKind = tuple[str, str, str]
"""Device, measurement, and of an event its kind: what the rows of one series have in common."""
Named = dict[RowKind, set[str]]
"""The fields by series. A quality goes with its field, the columns of a summary count as one."""
Groups = dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Over:
    """Names beyond the bounds of a gateway. Each thing is refused for the first reason that applies."""

    devices: Set[str] = frozenset()
    kinds: Mapping[str, Set[str]] = field(default_factory=dict)
    fields: Mapping[str, Set[str]] = field(default_factory=dict)

    def why(self, device: str, measurement: str, kind: str = "", names: Iterable[str] = ()) -> str | None:
        """Why a row of these fields cannot be stored, or None; without `names`, why no row of its series can."""
        if device in self.devices:
            return TOO_MANY_DEVICES
        group, name = _kind(measurement, kind)
        if name in self.kinds.get(group, ()):
            return TOO_MANY_KINDS
        gone = self.gone(device, measurement, kind)
        return TOO_MANY_FIELDS if gone and any(name in gone for name in names) else None

    def gone(self, device: str, measurement: str, kind: str = "") -> Set[str]:
        """The fields of a series that cannot be stored."""
        return self.fields.get(_series(device, measurement, kind), frozenset())


NOTHING = Over()


def named_in(batches: Iterable[Batch]) -> Named:
    """Everything that batches name."""
    found: Named = {}
    for batch in batches:
        for name, device in batch.body.devices.items():
            if device.kind in RESERVED:
                continue
            own = found.setdefault((name, device.kind, ""), set())
            for block in device.blocks:
                own.update(block.values)
            if device.summary or device.witnessed:
                given_up = found.setdefault((name, SUMMARY, ""), set())
                given_up.update(filter(is_field, (*device.summary, *device.witnessed)))
        for record in batch.body.records:
            own = found.setdefault((record.device, EVENT, record.kind), {EVENT_TEXT})
            own.update(filter(is_field, record.values))
    return found


def kinds_of(named: Named) -> Groups:
    """Kinds of devices, and those of records."""
    found: Groups = {}
    for group, name in {_kind(measurement, kind) for measurement, kind in {of[1:] for of in named}}:
        if name:
            found.setdefault(group, set()).add(name)
    return found


def fields_of(named: Named) -> Groups:
    """The fields of each series, by a name of the series that no other one has."""
    return {_series(*of): names for of, names in named.items()}


def _kind(measurement: str, kind: str) -> tuple[str, str]:
    """What counts as a kind: a summary is of no kind of its own."""
    if measurement == EVENT:
        return EVENT, kind
    return "", "" if measurement == SUMMARY else measurement


def _series(device: str, measurement: str, kind: str) -> str:
    return f"{device}/{measurement}/{kind}" if kind else f"{device}/{measurement}"
