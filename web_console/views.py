"""Page models from what is stored: plain data that becomes JSON. Nothing is computed here but ages, names and order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from series_store.table import SeriesKey
from web_console.fields import field_name, rank
from web_console.labels import DeviceLabel, Labels
from web_console.silence import Heard, Silence

Json = dict[str, Any]
Newest = Mapping[SeriesKey, tuple[int, float]]


def areas(labels: Labels) -> list[Json]:
    """Every area, group and site, each right after the area around it."""
    return [
        {
            "id": area,
            "title": {"en": labels.areas[area].en, "zh": labels.areas[area].zh},
            "kind": labels.areas[area].kind,
            "parent": labels.areas[area].parent,
            "depth": labels.depth(area),
        }
        for area in labels.in_order(labels.areas)
    ]


def quiet(
    silences: Iterable[Silence], labels: Labels, keys: Iterable[SeriesKey], now_ms: int
) -> dict[tuple[str, str], str]:
    """(gateway, device) -> the cause of its silence; a silent gateway silences all of its devices."""
    places = {(key.gateway, key.device) for key in keys}
    places |= {(label.gateway, label.device) for label in labels.current(now_ms)}
    own = {(one.gateway, one.device): one.cause for one in silences}
    found = {(gateway, device): own.get((gateway, device)) or own.get((gateway, None)) for gateway, device in places}
    return {place: cause for place, cause in found.items() if cause}


def devices(
    keys: Iterable[SeriesKey],
    newest: Newest,
    labels: Labels,
    causes: Mapping[tuple[str, str], str],
    now_ms: int,
) -> list[Json]:
    """Each device that is stored or registered, with its newest values, the silent ones first."""
    fields: dict[tuple[str, str], list[SeriesKey]] = {}
    for registered in labels.current(now_ms):
        fields[registered.gateway, registered.device] = []
    for key in keys:
        fields.setdefault((key.gateway, key.device), []).append(key)
    found = [
        _device(place, own, newest, labels.device(*place, now_ms), causes.get(place), now_ms)
        for place, own in fields.items()
    ]
    found.sort(key=lambda one: (one["silent"] is None, one["gateway"], one["device"]))
    return found


def _device(
    place: tuple[str, str],
    keys: Sequence[SeriesKey],
    newest: Newest,
    label: DeviceLabel | None,
    silent: str | None,
    now_ms: int,
) -> Json:
    values = [
        {"field": key.field, **field_name(key.field)._asdict(), "value": newest[key][1], "t_ms": newest[key][0]}
        for key in sorted(keys, key=lambda key: rank(key.field))
        if key in newest
    ]
    last = max((newest[key][0] for key in keys if key in newest), default=None)
    return {
        "gateway": place[0],
        "device": place[1],
        "kind": keys[0].measurement if keys else "",
        "title": {"en": label.en, "zh": label.zh} if label else None,
        "role": label.role if label else "",
        "site": label.site if label else "",
        "areas": list(label.areas) if label else [],
        "simulated": label.simulated if label else False,
        "newest_ms": last,
        "age_ms": None if last is None else max(0, now_ms - last),
        "values": values,
        "silent": silent,
    }


def gateways(
    heard: Iterable[Heard], versions: Mapping[str, str], labels: Labels, now_ms: int, grace_ms: int
) -> list[Json]:
    """Each gateway that was heard or that ought to be: when it was last heard, what it still holds, and its clock."""
    own: dict[str, list[DeviceLabel]] = {}
    for label in labels.current(now_ms):
        own.setdefault(label.gateway, []).append(label)
    said = {one.gateway: one for one in heard}
    return [
        {
            "gateway": name,
            "version": versions.get(name, ""),
            "areas": sorted({area for label in own.get(name, ()) for area in label.areas}),
            "devices": len(own.get(name, ())),
            "simulated": any(label.simulated for label in own.get(name, ())),
            **_said(said.get(name), now_ms, grace_ms),
        }
        for name in sorted(own.keys() | said.keys())
    ]


def _said(one: Heard | None, now_ms: int, grace_ms: int) -> Json:
    if one is None:
        return {
            "heard_ms": None,
            "age_ms": None,
            "data_to_ms": None,
            "pending_batches": 0,
            "clock_unsure_ms": None,
            "clock_ahead_ms": None,
            "silent": True,
        }
    ahead_ms = one.to_ms - one.at_ms
    return {
        "heard_ms": one.at_ms,
        "age_ms": max(0, now_ms - one.at_ms),
        "data_to_ms": one.to_ms,
        "pending_batches": one.pending,
        "clock_unsure_ms": one.unsure_ms,
        "clock_ahead_ms": ahead_ms if ahead_ms > grace_ms else None,
        "silent": one.is_silent(now_ms, grace_ms),
    }


def silent(silences: Iterable[Silence], labels: Labels, now_ms: int) -> list[Json]:
    """Who is silent, since when and why; the longest silence first."""
    found = []
    for one in silences:
        label = labels.device(one.gateway, one.device, now_ms) if one.device else None
        around = [label] if label else [own for own in labels.current(now_ms) if own.gateway == one.gateway]
        found.append(
            {
                "gateway": one.gateway,
                "device": one.device,
                "title": {"en": label.en, "zh": label.zh} if label else None,
                "areas": sorted({area for own in around for area in own.areas}),
                "simulated": any(own.simulated for own in around),
                "since_ms": one.since_ms,
                "for_ms": None if one.since_ms is None else max(0, now_ms - one.since_ms),
                "cause": one.cause,
                "missing": dict(one.missing),
            }
        )
    return sorted(found, key=lambda one: one["since_ms"] or 0)
