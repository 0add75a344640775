"""The index of the spool in memory: which batches it holds, how large each is, and which of them have no date yet.

A full spool may hold a million batches or more, on a board with little memory. So there is no object per batch: seqs
are kept as spans, since a run is sealed one after the other and confirmed in long stretches, and sizes as numbers of
two or four bytes. What is asked at each seal and each message takes time by the number of spans, which are few.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence, ValuesView
from dataclasses import dataclass

from data_contract.batch import Span

SEQ_MAX = 2**53
"""No seq is larger: whoever asks for a span to the end of a run writes this."""
CHUNK = 4096
"""Sizes of so many seqs lie together; a chunk goes when none of its seqs is held any more."""
_SMALL_MAX = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Held:
    """A batch in the spool."""

    run: str
    seq: int
    size: int
    dated: bool


class _Line:
    """A set of seqs of one run, as spans that neither overlap nor touch."""

    __slots__ = ("count", "firsts", "lasts")

    def __init__(self) -> None:
        self.firsts = array("q")
        self.lasts = array("q")
        self.count = 0

    def add(self, first: int, last: int) -> None:
        low, high = bisect_left(self.lasts, first - 1), bisect_right(self.firsts, last + 1)
        if low < high:
            first, last = min(first, self.firsts[low]), max(last, self.lasts[high - 1])
        self._replace(low, high, [(first, last)])

    def discard(self, first: int, last: int) -> None:
        low, high = bisect_left(self.lasts, first), bisect_right(self.firsts, last)
        if low < high:
            ends = [(self.firsts[low], first - 1), (last + 1, self.lasts[high - 1])]
            self._replace(low, high, [(a, b) for a, b in ends if a <= b])

    def _replace(self, low: int, high: int, spans: list[tuple[int, int]]) -> None:
        self.count += sum(b - a + 1 for a, b in spans)
        self.count -= sum(self.lasts[i] - self.firsts[i] + 1 for i in range(low, high))
        self.firsts[low:high] = array("q", [a for a, _ in spans])
        self.lasts[low:high] = array("q", [b for _, b in spans])

    def common(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The parts of [first, last] that are in the set."""
        for i in range(bisect_left(self.lasts, first), len(self.firsts)):
            if self.firsts[i] > last:
                return
            yield max(first, self.firsts[i]), min(last, self.lasts[i])

    def gaps(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The parts of [first, last] that are not."""
        for a, b in self.common(first, last):
            if a > first:
                yield first, a - 1
            first = b + 1
        if first <= last:
            yield first, last


class Spans:
    """A set of (run, seq), kept as spans: runs in the order in which they came, their seqs rising."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._lines: dict[str, _Line] = {}
        self.count = 0
        """How many (run, seq) it has."""
        for span in spans:
            self.add(span)

    def __iter__(self) -> Iterator[Span]:
        for run, line in self._lines.items():
            for first, last in zip(line.firsts, line.lasts, strict=True):
                yield run, first, last

    def __reversed__(self) -> Iterator[Span]:
        for run, line in reversed(self._lines.items()):
            for i in range(len(line.firsts) - 1, -1, -1):
                yield run, line.firsts[i], line.lasts[i]

    def __contains__(self, key: object) -> bool:
        assert isinstance(key, tuple)
        run, seq = key
        line = self._lines.get(run)
        return line is not None and next(line.common(seq, seq), None) is not None

    def add(self, span: Span) -> None:
        """Add all of a span; what is there already stays."""
        run, first, last = span
        line = self._lines.setdefault(run, _Line())
        self.count -= line.count
        line.add(first, last)
        self.count += line.count

    def discard(self, span: Span) -> None:
        """Take out what is there of a span."""
        run, first, last = span
        line = self._lines.get(run)
        if line is None:
            return
        self.count -= line.count
        line.discard(first, last)
        self.count += line.count
        if not line.count:
            del self._lines[run]

    def common(self, span: Span) -> Iterator[Span]:
        """The parts of a span that are in the set."""
        run, first, last = span
        if run in self._lines:
            yield from ((run, a, b) for a, b in self._lines[run].common(first, last))

    def gaps(self, span: Span) -> Iterator[Span]:
        """The parts of a span that are not."""
        run, first, last = span
        if run in self._lines:
            yield from ((run, a, b) for a, b in self._lines[run].gaps(first, last))
        else:
            yield span

    def sort(self, rank: Mapping[str, int]) -> None:
        """Put the runs in the order of their ranks."""
        if list(self._lines) != (runs := sorted(self._lines, key=lambda run: rank[run])):
            self._lines = {run: self._lines[run] for run in runs}

    def last(self, run: str) -> int:
        """The highest seq of a run; 0 where there is none."""
        return self._lines[run].lasts[-1] if run in self._lines else 0


class _Sizes:
    """Bytes by seq of one run, in chunks of CHUNK; two bytes each where no batch of the chunk is larger than that."""

    __slots__ = ("chunks",)

    def __init__(self) -> None:
        self.chunks: dict[int, array[int]] = {}

    def put(self, first: int, sizes: Sequence[int]) -> None:
        """Of consecutive seqs."""
        done = 0
        while done < len(sizes):
            number, place = divmod(first + done, CHUNK)
            part = sizes[done : done + CHUNK - place]
            chunk = self.chunks.get(number, array("H"))
            if max(part) > _SMALL_MAX and chunk.typecode == "H":
                chunk = array("I", chunk)
            if place > len(chunk):
                chunk.frombytes(bytes(chunk.itemsize * (place - len(chunk))))
            chunk[place : place + len(part)] = array(chunk.typecode, part)
            self.chunks[number] = chunk
            done += len(part)

    def get(self, seq: int) -> int:
        return self.chunks[seq // CHUNK][seq % CHUNK]

    def sum(self, first: int, last: int) -> int:
        """Of a span all of which is held."""
        total = 0
        for number in range(first // CHUNK, last // CHUNK + 1):
            begin = number * CHUNK
            total += sum(self.chunks[number][max(0, first - begin) : last - begin + 1])
        return total


class Index(Mapping[tuple[str, int], Held]):
    """(run, seq) → Held of what is offered, oldest first. A `Held` is made when it is asked for."""

    def __init__(self) -> None:
        self._held = Spans()
        self._undated = Spans()
        self._sizes: dict[str, _Sizes] = {}
        self.bytes = 0
        """Of all batches together."""

    @property
    def undated(self) -> int:
        """How many batches wait for a date."""
        return self._undated.count

    def __len__(self) -> int:
        return self._held.count

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return ((run, seq) for run, first, last in self._held for seq in range(first, last + 1))

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def __getitem__(self, key: tuple[str, int]) -> Held:
        if key not in self._held:
            raise KeyError(key)
        return Held(*key, self._sizes[key[0]].get(key[1]), key not in self._undated)

    def values(self) -> Batches:
        """The batches, oldest first; newest first if reversed."""
        return Batches(self)

    def newest_first(self) -> Iterator[Held]:
        """What `reversed(index.values())` goes through."""
        return (self[run, seq] for run, first, last in reversed(self._held) for seq in range(last, first - 1, -1))

    def spans(
        self, *, within: Iterable[Span] | None = None, without: Iterable[Span] = (), dated: bool = False
    ) -> Iterator[Span]:
        """What is held, oldest first, or of `within` in its order; without some, and without what has no date."""
        gone = Spans(without)
        for span in self._held if within is None else (part for each in within for part in self._held.common(each)):
            for part in gone.gaps(span):
                yield from self._undated.gaps(part) if dated else (part,)

    def batches(self, spans: Iterable[Span]) -> Iterator[Held]:
        """Those of spans all of which are held."""
        return (self[run, seq] for run, first, last in spans for seq in range(first, last + 1))

    def weigh(self, spans: Iterable[Span]) -> tuple[int, int]:
        """(batches, bytes) of what is held of these spans, which must not overlap."""
        number = size = 0
        for run, first, last in self.spans(within=spans):
            number += last - first + 1
            size += self._sizes[run].sum(first, last)
        return number, size

    def last(self, run: str) -> int:
        """The highest seq that is held of a run; 0 where there is none."""
        return self._held.last(run)

    def add(self, run: str, seq: int, size: int, *, dated: bool) -> None:
        """A batch that is on disk now."""
        self.add_many(run, seq, (size,))
        if not dated:
            self.undate(run, seq)

    def add_many(self, run: str, first: int, sizes: Sequence[int]) -> None:
        """Dated batches with consecutive seqs, as a full spool has many."""
        span = (run, first, first + len(sizes) - 1)
        assert min(sizes) > 0 and max(sizes) < 2**32 and next(self._held.common(span), None) is None
        self._held.add(span)
        self._sizes.setdefault(run, _Sizes()).put(first, sizes)
        self.bytes += sum(sizes)

    def undate(self, run: str, seq: int) -> None:
        """A batch that was added as dated is not."""
        assert (run, seq) in self._held
        self._undated.add((run, seq, seq))

    def drop(self, span: Span) -> None:
        """What is held of a span is gone, or no longer offered."""
        self.bytes -= self.weigh([span])[1]
        self._held.discard(span)
        self._undated.discard(span)
        run, first, last = span
        sizes = self._sizes.get(run)
        if sizes is None:
            return
        last = min(last, (max(sizes.chunks, default=0) + 1) * CHUNK)
        for number in range(first // CHUNK, last // CHUNK + 1):
            chunk_span = (run, number * CHUNK, number * CHUNK + CHUNK - 1)
            if number in sizes.chunks and next(self._held.common(chunk_span), None) is None:
                del sizes.chunks[number]
        if not sizes.chunks:
            del self._sizes[run]

    def sort(self, rank: Mapping[str, int]) -> None:
        """Runs have come that are older than others: put them in the order of their ranks."""
        self._held.sort(rank)

    def undated_in(self, within: Iterable[Span]) -> Iterator[Span]:
        """What waits for a date of these spans."""
        return (part for span in within for part in self._undated.common(span))

    def date(self, span: Span) -> None:
        """These batches have got their date."""
        self._undated.discard(span)

    def all_dated(self) -> None:
        """Every batch has got its date."""
        self._undated = Spans()


class Batches(ValuesView[Held]):
    """The batches of an index; unlike the view of the standard library it can be gone through from its end."""

    def __init__(self, index: Index) -> None:
        super().__init__(index)
        self._index = index

    def __iter__(self) -> Iterator[Held]:
        return (self._index[key] for key in self._index)

    def __reversed__(self) -> Iterator[Held]:
        return self._index.newest_first()
