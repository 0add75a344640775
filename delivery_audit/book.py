"""Receipts in, accounts out: what a gateway's batches count is booked as it is read, so that only sums are held.

The book knows nothing of the store; whoever reads the receipts holds what the store has against `claims`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import groupby

from data_contract import receipt as wire
from data_contract.cause import Fate
from data_contract.receipt import BatchReceipt, DeviceReceipt
from data_contract.schedule import Schedule, expected
from delivery_audit.arrivals import Arrivals
from delivery_audit.claims import Claim, add, apart
from delivery_audit.cover import Span
from delivery_audit.days import Days
from delivery_audit.heard import Heard, Told
from delivery_audit.history import Digest
from delivery_audit.ledger import NOTES_MAX, UNEXPLAINED, Account, Finding, Gap, Ledger, clipped, gap_of
from delivery_audit.overlap import Overlap, overlap, share, told_twice
from delivery_audit.plan import Plan
from delivery_audit.restored import after_all
from series_store.table import Receipt

LATE_MS = 600_000
"""How far behind the end of its batch a stamp may lie: the claims of batches this close are looked at, too."""


class Book:
    """The accounts of one gateway over [from_ms, to_ms), while its receipts are read."""

    def __init__(
        self,
        *,
        gateway: str,
        from_ms: int,
        to_ms: int,
        plan: Plan,
        days: Days,
        late_ms: int,
        schedules: Mapping[str, Schedule],
        arrivals: Arrivals | None = None,
    ) -> None:
        """`schedules`: run → its own schedule, where its first batch has arrived. `arrivals`: of the audited time."""
        self.gateway = gateway
        self.from_ms = from_ms
        self.to_ms = to_ms
        self.late_ms = late_ms
        self.heard = Heard()
        self.begins_ms, self.ends_ms = 2**63, 0
        """How far the ordinary batches that were read reach."""
        self._plan = plan
        self._days = days
        self._schedules = schedules
        self._arrivals = arrivals
        self._accounts: defaultdict[tuple[str, str], Account] = defaultdict(Account)
        self._claims: defaultdict[str, list[Claim]] = defaultdict(list)
        self._findings: list[Finding] = []
        self._surplus: list[Finding] = []
        self._overlaps: dict[tuple[str, int], Overlap] = {}
        self._notes: list[str] = []
        self._notes_left_out = 0
        self._redelivered = 0
        self._streak = 0
        self._streak_end_ms = 0

    def read(self, receipts: Iterable[Receipt]) -> None:
        """Book receipts in order of (from_ms, run, seq); all receipts of one batch must come in one call."""
        for receipt, said, deliveries in self._batches(receipts):
            self.heard.add(receipt, said)
            if said.rejected is None:
                again = sum(each.restored is None for _, each in deliveries) - 1
                self._batch(receipt, said, again)
                if self._arrivals and self._inside(receipt.from_ms):
                    self._arrivals.add(self._days.of(receipt.from_ms), deliveries)

    def newest(self, receipt: Receipt) -> None:
        """The receipt of the newest batch: it is heard and its lists count, also where its time is not audited."""
        for _, said, _ in self._batches([receipt]):
            self.heard.add(receipt, said)

    def note(self, text: str) -> None:
        """Keep a remark that is no failure."""
        if len(self._notes) < NOTES_MAX:
            self._notes.append(text)
        else:
            self._notes_left_out += 1

    def claims(self) -> dict[str, list[Claim]]:
        """Device → what the receipts claim to be stored of it, in ranges that lie apart."""
        found = {device: list(claims) for device, claims in self._claims.items()}
        sole = self.heard.sole()
        for told in self.heard.digests():
            for device, part in told.said.devices.items():
                if part.stored:
                    claim = self._claim(told.digest.from_ms, told.digest.to_ms, part, sure=told in sole)
                    found.setdefault(device, []).append(claim)
        return {device: apart(claims) for device, claims in found.items()}

    def claims_within(self, device: str, whole: Claim, receipts: Iterable[Receipt]) -> list[Claim]:
        """The claims that `whole` was made of, batch by batch, out of the receipts of its time."""
        found = []
        sole = {(told.digest.run, told.digest.seq) for told in self.heard.sole()}
        for receipt, said, _ in self._batches(receipts):
            part = said.devices.get(device)
            if part and part.stored and whole.first_ms <= part.first_ms <= whole.last_ms:
                sure = not said.replaces or (receipt.run, receipt.seq) in sole
                found.append(self._claim(receipt.from_ms, receipt.to_ms, part, sure=sure))
        return apart(found)

    def shared(self) -> list[Told]:
        """Digests of the audited time whose counts are to be parted from those of batches that arrived otherwise."""
        sole = self.heard.sole()
        return [told for told in self.heard.digests() if told not in sole and told.counted and self._begins(told)]

    def part(self, told: Told, receipts: Iterable[Receipt]) -> Overlap:
        """Take the counts of what arrived from those of a digest; `receipts`: all of the time `around` it."""
        found = overlap(told, self.batches(receipts))
        self._overlaps[told.digest.run, told.digest.seq] = found
        return found

    def around(self, told: Told) -> tuple[int, int]:
        """The time of a digest, and of those that tell of the same batches."""
        found = [told.digest, *(each.digest for each in self.heard.digests() if share(told, each))]
        return min(digest.from_ms for digest in found), max(digest.to_ms for digest in found)

    def note_twice(self) -> None:
        """Remark upon digests that tell of the same batches, where what both counted cannot be told apart."""
        told = [told for told in self.heard.digests() if told.counted and self._begins(told)]
        parted = [(each, self._overlaps.get((each.digest.run, each.digest.seq), Overlap())) for each in told]
        for one, other, batches, readings in told_twice(parted):
            both = " and ".join(f"digest {each.digest.seq} of run {each.digest.run[:8]}" for each in (one, other))
            much = f"up to {readings} readings count twice, most of them as evicted"
            self.note(f"{both} both tell of {batches} batches that did not arrive, and each of others: {much}")

    def batches(self, receipts: Iterable[Receipt]) -> Iterable[tuple[Receipt, BatchReceipt]]:
        """Each batch of some receipts once, whether or not it was booked."""
        return ((receipt, said) for receipt, said, _ in self._batches(receipts))

    def not_found(self, device: str, claim: Claim, found: int) -> None:
        """The store holds fewer values than `claim` says."""
        short = claim.must - found
        account = self._account(device, max(claim.begin_ms, self.from_ms))
        account.fates[Fate.STORED.value] -= short
        account.fates[UNEXPLAINED] += short
        text = f"the store holds {found} of {claim.must} values that receipts say were stored"
        self._findings.append(Finding(claim.first_ms, claim.last_ms + 1, short, text, device))

    def unclaimed(self, device: str, from_ms: int, to_ms: int, values: int) -> None:
        """The store holds values that no receipt speaks of."""
        text = "values in the store that no receipt speaks of"
        self._surplus.append(Finding(from_ms, to_ms, values, text, device))

    def ledger(self, spans: Iterable[Span]) -> Ledger:
        """Close the book: the time between batches, then the digests, then what is left without evidence."""
        sole, spans = self.heard.sole(), list(spans)
        gaps = [self._gap(span) for span in clipped(spans, self.from_ms, self.to_ms)]
        self._check_digests(spans, sole)
        digests = [told for told in self.heard.digests() if self._begins(told) and (told in sole or told.counted)]
        for told in digests:
            self._counts(told)
        for told in digests:
            self._witnesses(told)
        found = [
            Finding(gap.from_ms, gap.to_ms, gap.readings, _no_evidence(gap), "", gap.run, gap.first, gap.last)
            for gap in gaps
            if gap.what == UNEXPLAINED
        ]
        return Ledger(
            gateway=self.gateway,
            from_ms=self.from_ms,
            to_ms=self.to_ms,
            accounts=dict(sorted(self._accounts.items(), key=lambda item: (item[0][1], item[0][0]))),
            gaps=tuple(gaps),
            unexplained=tuple(sorted(found + self._findings, key=lambda finding: finding.from_ms)),
            surplus=tuple(sorted(self._surplus, key=lambda finding: finding.from_ms)),
            notes=tuple(self._notes),
            notes_left_out=self._notes_left_out,
            redelivered=self._redelivered,
        )

    def _batches(
        self, receipts: Iterable[Receipt]
    ) -> Iterable[tuple[Receipt, BatchReceipt, list[tuple[Receipt, BatchReceipt]]]]:
        """Each batch once, by its receipt that tells of the most values, with all of its receipts."""
        for _, same in groupby(receipts, key=lambda receipt: (receipt.from_ms, receipt.run, receipt.seq)):
            copies: list[tuple[Receipt, BatchReceipt]] = []
            restored: list[tuple[Receipt, BatchReceipt]] = []
            for receipt in same:
                try:
                    said = wire.read(receipt.counts)
                except ValueError as error:
                    self.note(f"receipt of batch {receipt.run} {receipt.seq} cannot be read: {error}")
                    continue
                (copies if said.restored is None else restored).append((receipt, said))
            if copies:
                receipt, said = max(copies, key=lambda copy: (copy[0].readings, copy[0].at_us))
                yield receipt, after_all(said, restored), copies + restored
            elif restored:
                receipt, _ = restored[0]
                self.note(f"batch {receipt.run} {receipt.seq}: dead letters of it were replayed, but it has no receipt")

    def _batch(self, receipt: Receipt, said: BatchReceipt, again: int) -> None:
        inside = self._inside(receipt.from_ms)
        self._redelivered += again if inside else 0
        if said.replaces:
            return
        self.begins_ms, self.ends_ms = min(self.begins_ms, receipt.from_ms), max(self.ends_ms, receipt.to_ms)
        self._streak += receipt.from_ms != self._streak_end_ms
        self._streak_end_ms = receipt.to_ms
        near = self.from_ms - self.late_ms <= receipt.to_ms and receipt.from_ms < self.to_ms + self.late_ms
        if inside:
            self._check_called(receipt, said, receipt.run)
        for device, part in said.devices.items():
            if inside:
                self._device(receipt, device, part, again)
            if near and part.stored:
                add(self._claims[device], self._claim(receipt.from_ms, receipt.to_ms, part, sure=True))

    def _device(self, receipt: Receipt, device: str, part: DeviceReceipt, again: int) -> None:
        called, sampled, missing = _sum(part)
        account = self._account(device, receipt.from_ms)
        account.expected += called
        account.sampled += sampled
        account.fates.update(missing)
        account.redelivered += again
        account.redelivered_readings += again * part.stored
        bad = min(part.bad, sampled)
        stored = min(part.stored, sampled - bad)
        account.fates[Fate.REJECTED.value] += bad
        account.fates[Fate.STORED.value] += stored
        if short := sampled - bad - stored:
            account.fates[UNEXPLAINED] += short
            text = f"{sampled} sampled, but the receipt tells of {part.stored} stored and {part.bad} refused"
            self._findings.append(_about(receipt, device, short, text))
        elif over := part.stored + part.bad - sampled:
            text = f"the receipt tells of more than the {sampled} values that the gateway says it sampled"
            self._surplus.append(_about(receipt, device, over, text))

    def _check_digests(self, spans: Iterable[Span], sole: Iterable[Told]) -> None:
        """A digest counts all that its batches did; where it fills its time alone, the schedule tells how much that is.

        One that was merged from several and has a hole within says so, and is taken at its word.
        """
        alone = {told.digest: told for told in sole if told.counted and self._begins(told)}
        for span in spans:
            told = alone.get(span.digest) if span.digest else None
            if told and (span.from_ms, span.to_ms) == (told.digest.from_ms, told.digest.to_ms):
                self._check_called(told.digest, told.said, span.run)

    def _check_called(self, receipt: Receipt | Digest, said: BatchReceipt, run: str) -> None:
        """Agent and audit count with the same function, so what was not called for has no explanation.

        `run`: the one that sampled it.
        """
        schedule = self._schedules.get(run)
        if schedule is None or said.unsure is not None or said.off_grid:
            return
        for poll in schedule.polls:
            part = said.devices.get(poll.device)
            called = part.counts.get(poll.group, (0, 0, {}))[0] if part else 0
            wanted = expected(poll, receipt.from_ms, receipt.to_ms)
            if called < wanted:
                account = self._account(poll.device, receipt.from_ms)
                account.expected += wanted - called
                account.fates[UNEXPLAINED] += wanted - called
                text = f"group {poll.group} was called for {called} readings where the schedule says {wanted}"
                self._findings.append(_about(receipt, poll.device, wanted - called, text))
            elif called > wanted:
                where = f"batch {receipt.run} {receipt.seq}, {poll.device}, group {poll.group}"
                self.note(f"{where}: called for {called} readings where the schedule says {wanted}")

    def _gap(self, span: Span) -> Gap:
        counted = any(span.digest == told.digest and told.counted for told in self.heard.digests())
        readings = 0
        plan = self._plan.of_run(span.began_ms)
        for _, from_ms, to_ms in self._days.pieces(span.from_ms, span.to_ms):
            if not isinstance(span.what, Fate):
                break
            called = plan.expected(from_ms, to_ms)
            readings += called.total()
            for device, number in called.items():
                if number and not counted:
                    account = self._account(device, from_ms)
                    account.expected += number
                    account.fates[span.what.value] += number
        return gap_of(span, readings)

    def _counts(self, told: Told) -> None:
        """Where a digest brings counts, these hold instead of the schedule."""
        arrived = self._overlaps.get((told.digest.run, told.digest.seq), Overlap())
        for device, part in told.said.devices.items() if told.counted else ():
            called, sampled, missing = _sum(part)
            sampled -= arrived.sampled[device]
            missing.subtract(arrived.missing[device])
            account = self._account(device, told.digest.from_ms)
            account.expected += called - arrived.called[device]
            account.sampled += sampled
            account.fates.update(missing)
            account.fates[Fate.EVICTED.value] += sampled

    def _witnesses(self, told: Told) -> None:
        """What a digest kept is stored: of what one of that day counts, it may be another one."""
        arrived = self._overlaps.get((told.digest.run, told.digest.seq))
        for device, part in told.said.devices.items():
            stored, bad = (part.stored, part.bad) if arrived is None else (arrived.fresh[device], 0)
            account = self._account(device, told.digest.from_ms)
            account.fates[Fate.STORED.value] += stored
            account.fates[Fate.REJECTED.value] += bad
            taken = min(stored + bad, account.fates[Fate.EVICTED.value])
            account.fates[Fate.EVICTED.value] -= taken
            # A witness was expected, also where the schedule of its time has not arrived.
            account.expected += stored + bad - taken

    def _claim(self, begin_ms: int, end_ms: int, part: DeviceReceipt, *, sure: bool) -> Claim:
        return Claim(
            first_ms=part.first_ms,
            last_ms=part.last_ms,
            must=part.stored if sure else 0,
            may=part.stored,
            begin_ms=begin_ms,
            end_ms=end_ms,
            streak=self._streak,
            inside=self._inside(begin_ms),
        )

    def _begins(self, told: Told) -> bool:
        return self._inside(told.digest.from_ms)

    def _inside(self, begin_ms: int) -> bool:
        return self.from_ms <= begin_ms < self.to_ms

    def _account(self, device: str, t_ms: int) -> Account:
        return self._accounts[device, self._days.of(t_ms)]


def _sum(part: DeviceReceipt) -> tuple[int, int, Counter[str]]:
    """Called for, sampled, missing by cause, over the poll groups of a device."""
    called = sampled = 0
    causes: Counter[str] = Counter()
    for group_called, group_sampled, missing in part.counts.values():
        called += group_called
        sampled += group_sampled
        causes.update(missing)
    return called, sampled, causes


def _about(receipt: Receipt | Digest, device: str, readings: int, text: str) -> Finding:
    seq = receipt.seq
    return Finding(receipt.from_ms, receipt.to_ms, readings, text, device, receipt.run, seq, seq)


def _no_evidence(gap: Gap) -> str:
    if not gap.first:
        return gap.why
    batches = f"batch {gap.first}" if gap.first == gap.last else f"batches {gap.first} to {gap.last}"
    return f"no receipt for {batches} of run {gap.run}, and nothing says where they are"
