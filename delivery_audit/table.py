"""Ledgers as a person and as a script read them. Times are shown in the zone of the days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from data_contract.cause import Fate, Missing
from delivery_audit import seen_table
from delivery_audit.ledger import UNEXPLAINED, Account, Finding, Gap, Ledger

FATES = (
    Fate.STORED,
    Fate.REJECTED,
    Fate.EVICTED,
    Fate.SET_ASIDE,
    Fate.PENDING,
    Fate.SILENT,
    Fate.LOST,
    Fate.UNSEALED,
    Fate.DOWN,
)
"""In the order in which the table shows them."""
LINES_MAX = 200
"""Lines of one list in the printed ledger; the JSON has them all."""


def as_text(ledgers: Sequence[Ledger], zone: tzinfo) -> str:
    """The printed audit. Columns that are 0 throughout are left out."""
    return "\n".join(line for ledger in ledgers for line in _lines(ledger, zone))


def as_json(ledgers: Sequence[Ledger], zone: tzinfo) -> dict[str, Any]:
    """The same for scripts, complete: times in ms UTC, readings as numbers, every fate and cause that occurs."""
    return {
        "adds_up": all(ledger.adds_up for ledger in ledgers),
        "zone": str(zone),
        "gateways": [_gateway(ledger) for ledger in ledgers],
    }


def _gateway(ledger: Ledger) -> dict[str, Any]:
    return {
        "gateway": ledger.gateway,
        "from_ms": ledger.from_ms,
        "to_ms": ledger.to_ms,
        "adds_up": ledger.adds_up,
        "redelivered_batches": ledger.redelivered,
        "total": _account(ledger.total()),
        "accounts": [
            {"device": device, "day": day, **_account(account)} for (device, day), account in ledger.accounts.items()
        ],
        "gaps": [_gap(gap) for gap in ledger.gaps],
        "unexplained": [_finding(finding) for finding in ledger.unexplained],
        "surplus": [_finding(finding) for finding in ledger.surplus],
        "notes": list(ledger.notes),
        "notes_left_out": ledger.notes_left_out,
        "rollups": seen_table.as_json(ledger.seen),
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "expected": account.expected,
        "sampled": account.sampled,
        "fates": {fate: number for fate, number in sorted(account.fates.items()) if number},
        "redelivered_batches": account.redelivered,
        "redelivered_readings": account.redelivered_readings,
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "what": gap.what,
        "from_ms": gap.from_ms,
        "to_ms": gap.to_ms,
        "readings": gap.readings,
        "run": gap.run,
        "batches": [gap.first, gap.last] if gap.first else None,
        "why": gap.why,
        "estimated": gap.estimated,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "text": finding.text,
        "device": finding.device or None,
        "from_ms": finding.from_ms,
        "to_ms": finding.to_ms,
        "readings": finding.readings,
        "run": finding.run,
        "batches": [finding.first, finding.last] if finding.first else None,
    }


def _lines(ledger: Ledger, zone: tzinfo) -> Iterator[str]:
    span = _span(ledger.from_ms, ledger.to_ms, zone)
    yield f"{ledger.gateway}, {span}: {'adds up' if ledger.adds_up else 'DOES NOT ADD UP'}"
    yield ""
    yield from _table(ledger)
    yield from _section("gaps", [_gap_line(gap, zone) for gap in ledger.gaps])
    yield from _section("unexplained", [_finding_line(finding, zone) for finding in ledger.unexplained])
    yield from _section("surplus", [_finding_line(finding, zone) for finding in ledger.surplus])
    notes = [*ledger.notes, *([f"and {ledger.notes_left_out} more"] if ledger.notes_left_out else [])]
    yield from _section("notes", notes)
    if ledger.seen:
        yield ""
        yield seen_table.headline(ledger.seen, lambda t_ms: _time(t_ms, zone))
        yield from _section("not seen by rollups", list(seen_table.lines(ledger.seen, lambda t_ms: _time(t_ms, zone))))
        hours = list(seen_table.summarised(ledger.seen, lambda t_ms: _time(t_ms, zone)))
        yield from _section("summarised hours (a gateway gave up their detail)", hours)
    yield ""


def _table(ledger: Ledger) -> Iterator[str]:
    accounts = ledger.accounts
    if not accounts:
        yield "no reading was expected"
        return
    total = ledger.total()
    shown = [fate.value for fate in FATES if total.fates[fate.value] or fate is Fate.STORED]
    causes = [cause.value for cause in Missing]
    others = set(total.fates) - {fate.value for fate in FATES} - {UNEXPLAINED} - set(causes)
    shown += [cause for cause in [*causes, *sorted(others)] if total.fates[cause]]
    rows = [["device", "day", "expected", *shown, UNEXPLAINED, "redelivered"]]
    rows += [[device, day, *_cells(account, shown)] for (device, day), account in accounts.items()]
    rows.append(["all", "", *_cells(total, shown)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join(names + numbers)


def _cells(account: Account, shown: Iterable[str]) -> list[str]:
    fates = [account.fates[fate] for fate in shown]
    return [str(number) for number in (account.expected, *fates, account.fates[UNEXPLAINED], account.redelivered)]


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield f"{title}:"
    yield from (f"  {line}" for line in lines[:LINES_MAX])
    if len(lines) > LINES_MAX:
        yield f"  and {len(lines) - LINES_MAX} more, see --json"


def _gap_line(gap: Gap, zone: tzinfo) -> str:
    parts = [_span(gap.from_ms, gap.to_ms, zone), gap.what, f"{gap.readings} readings"]
    if gap.first:
        parts.append(f"run {gap.run[:8]} batches {gap.first}-{gap.last}")
    return "  ".join([*parts, *([gap.why] if gap.why else []), *(["(estimated)"] if gap.estimated else [])])


def _finding_line(finding: Finding, zone: tzinfo) -> str:
    parts = [_span(finding.from_ms, finding.to_ms, zone), finding.device or "all devices"]
    if finding.first and finding.device:
        parts.append(f"run {finding.run[:8]} batch {finding.first}")
    return "  ".join([*parts, f"{finding.readings} readings", finding.text])


def _span(from_ms: int, to_ms: int, zone: tzinfo) -> str:
    return f"{_time(from_ms, zone)} to {_time(to_ms, zone)}"


def _time(t_ms: int, zone: tzinfo) -> str:
    shown = datetime.fromtimestamp(t_ms / 1000, UTC).astimezone(zone)
    return shown.strftime("%Y-%m-%d %H:%M:%S") + (f".{t_ms % 1000:03d}" if t_ms % 1000 else "")
