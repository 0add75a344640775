"""The folder of dead letters in the hands of a worker and an operator at once: what each sees, keeps and removes."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path

import pytest

from ingest import letters_folder
from ingest.errors import NoRoom
from ingest.letters import CUT_SHORT, Choice, grouped, id_of, read, why_not, with_messages, write
from ingest.letters_folder import LettersFolder
from ingest.ports import DeadLetter

RUN = "a" * 32
ROUNDS_MIN = 10
LETTERS_MAX = 20_000
"""Without a turn for whoever waits, a worker comes to this end; with one, after some dozens."""


def letter(seq: int, reason: str = "schema", line: str = "[1,0,{}]") -> DeadLetter:
    return DeadLetter("gw-1", RUN, seq, reason, line)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LettersFolder:
    """A folder in which a file is full with a few letters."""
    monkeypatch.setattr(letters_folder, "SEGMENT_BYTES_MIN", 500)
    monkeypatch.setattr(letters_folder, "LOCK_WAIT_S", 0.2)
    return LettersFolder(folder=tmp_path / "dead", bytes_max=10_000)


def seqs(folder: LettersFolder) -> list[int]:
    return [kept.letter.seq for kept in folder.letters()]


def test_letters_lie_in_several_files_and_are_listed_in_the_order_in_which_they_came(small: LettersFolder) -> None:
    for seq in range(1, 21):
        small.keep([letter(seq)], seq)
    assert len(small.segments()) > 3
    assert seqs(small) == list(range(1, 21))
    assert small.size_bytes == sum((small._folder / name).stat().st_size for name in small.segments())


def test_a_file_of_an_earlier_version_goes_on_as_the_oldest_part(small: LettersFolder) -> None:
    small._folder.mkdir()
    old = {"at_ms": 5, "gateway": "gw-1", "run": RUN, "seq": 1, "reason": "r", "line": "x" * 900, "values": []}
    (small._folder / "dead.jsonl").write_text(json.dumps(old) + "\n", encoding="utf-8")
    small.keep([letter(2)], 6)
    assert seqs(small) == [1, 2]
    assert small.segments() == ["dead-000001.jsonl", "dead.jsonl"]


def test_what_is_settled_goes_and_everything_else_stays_as_it_was(small: LettersFolder) -> None:
    small.keep([letter(seq) for seq in (1, 2, 3)], 7)
    before = {kept.letter.seq: kept for kept in small.letters()}
    assert small.settle("dead.jsonl", {id_of(letter(1)): [], id_of(letter(2)): [letter(2, "worse")]}, 9) == 2
    after = [(kept.letter.seq, kept.letter.reason, kept.at_ms) for kept in small.letters()]
    assert after == [(2, "worse", 9), (3, "schema", 7)]
    assert before[2].id == id_of(letter(2, "worse")), "the reason is no part of the content"


def test_a_part_that_is_being_replayed_is_not_renamed_by_letters_that_come_meanwhile(small: LettersFolder) -> None:
    small.keep([letter(1, line="x" * 900)], 7)
    (name,) = small.closed()
    assert len(small.find(name, lambda _: True)) == 1
    small.keep([letter(2, line="x" * 900)], 8)
    small.keep([letter(3)], 9)
    assert small.settle(name, {id_of(letter(1, line="x" * 900)): []}, 9) == 1
    assert seqs(small) == [2, 3]


def test_a_letter_that_is_left_as_it_was_keeps_its_age(small: LettersFolder) -> None:
    small.keep([letter(1)], 7)
    small.settle("dead.jsonl", {id_of(letter(1)): [letter(1)]}, 9)
    assert [kept.at_ms for kept in small.letters()] == [7]


def test_the_last_letter_takes_its_file_with_it_even_where_the_disk_is_full(small: LettersFolder) -> None:
    small.keep([letter(1)], 7)
    small.keep([letter(1)], 8)
    assert small.settle("dead.jsonl", {id_of(letter(1)): []}, 9) == 2, "a batch that came twice has two lines"
    assert small.segments() == []
    small.keep([letter(2)], 10)
    assert seqs(small) == [2]


def test_the_bound_holds_over_all_files_and_its_message_says_what_to_do(small: LettersFolder) -> None:
    for seq in range(1, 61):
        small.keep([letter(seq)], 7)
    with pytest.raises(NoRoom, match="at most 10000; `loopgauge ingest dead`"):
        small.keep([letter(seq) for seq in range(61, 100)], 7)
    small.keep([letter(61)], 7)
    kept = seqs(small)
    assert small.size_bytes <= 10_000
    with pytest.raises(NoRoom):
        small.keep([letter(1, "x" * 2000)], 7)
    assert seqs(small) == kept
    small.settle(small.segments()[0], {id_of(letter(seq)): [] for seq in kept}, 8)
    small.keep([letter(1)], 7)


def test_who_appends_and_who_rewrites_at_once_lose_nothing(
    small: LettersFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters_folder, "LOCK_WAIT_S", 60.0)
    small._bytes_max = 10_000_000
    kept: list[int] = []
    dropped: list[int] = []

    def worker() -> None:
        """Keeps letter after letter, without a pause, until the operator has come between them often enough."""
        while len(dropped) < ROUNDS_MIN and len(kept) < LETTERS_MAX:
            small.keep([letter(len(kept) + 1)], len(kept) + 1)
            kept.append(len(kept) + 1)

    def drop_the_even() -> None:
        """Drops what has an even number, in every file, through an object of the operator's own."""
        other = LettersFolder(folder=small._folder, bytes_max=10_000_000)
        for name in other.closed():
            even = {found.id: () for found in other.find(name, lambda found: found.letter.seq % 2 == 0)}
            if even:
                dropped.append(other.settle(name, even, 9))

    thread = threading.Thread(target=worker)
    thread.start()
    while thread.is_alive():
        drop_the_even()
    between = len(dropped)
    drop_the_even()
    assert seqs(small) == kept[::2], "each odd number once, in order"
    assert sum(dropped) == len(kept) // 2
    assert between >= ROUNDS_MIN, f"the operator waited while {len(kept)} letters were kept"


def test_whoever_waits_comes_before_the_next_letter_of_who_had_the_lock(
    small: LettersFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters_folder, "LOCK_WAIT_S", 60.0)
    small.keep([letter(1)], 7)
    with small._locked(small._folder):
        operator = threading.Thread(target=LettersFolder(folder=small._folder, bytes_max=10_000).closed)
        operator.start()
        while not _is_held(small._folder / letters_folder.TURN_NAME):
            assert operator.is_alive(), "it did not wait"
    small.keep([letter(2)], 8)
    operator.join()
    assert small.segments() == ["dead-000001.jsonl", "dead.jsonl"], "the worker went before it again"


def _is_held(lock: Path) -> bool:
    """Whether somebody holds a lock now."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_program_that_holds_the_lock_for_ever_holds_up_nobody(small: LettersFolder) -> None:
    small.keep([letter(1)], 7)
    with small._locked(small._folder):
        other = LettersFolder(folder=small._folder, bytes_max=10_000)
        with pytest.raises(NoRoom, match=r"dead\.lock for too long"):
            other.keep([letter(2)], 8)
    other.keep([letter(2)], 8)


def test_a_rewriting_that_died_leaves_the_letters_as_they_were(small: LettersFolder) -> None:
    small.keep([letter(1), letter(2)], 7)
    (small._folder / "dead.jsonl.new").write_bytes(b"half a li")
    assert seqs(small) == [1, 2]
    small.settle("dead.jsonl", {id_of(letter(1)): []}, 8)
    assert seqs(small) == [2]
    assert not (small._folder / "dead.jsonl.new").exists()


def test_a_line_that_was_cut_short_is_listed_and_can_be_dropped(small: LettersFolder) -> None:
    small.keep([letter(1)], 7)
    with (small._folder / "dead.jsonl").open("ab") as file:
        file.write(b'{"at_ms": 8, "gateway": "gw-1", "li')
    small.keep([letter(2)], 9)
    torn = [kept for kept in small.letters() if kept.letter.reason == CUT_SHORT]
    assert [kept.letter.line for kept in torn] == ['{"at_ms": 8, "gateway": "gw-1", "li']
    assert why_not(torn[0].letter)
    small.settle("dead.jsonl", {torn[0].id: []}, 9)
    assert seqs(small) == [1, 2]


def test_files_are_the_owners_alone(small: LettersFolder) -> None:
    small.keep([letter(1), letter(2)], 7)
    small.settle("dead.jsonl", {id_of(letter(1)): []}, 8)
    assert {oct(os.stat(small._folder / name).st_mode)[-3:] for name in os.listdir(small._folder)} == {"600"}


def test_every_letter_is_read_as_it_was_written() -> None:
    for each in (
        letter(1),
        DeadLetter("gw-1", RUN, 2, "r", "", (("m1", "power_w", 5, "nan"),), (("m1", "energy_meter"),), (1, 2)),
        DeadLetter("gw-1", RUN, 3, "r", "base64:eA==", message=(3, 5, "zlib")),
        DeadLetter("gw-1", RUN, 4, 'new\nline "quoted" \\ 水'),
    ):
        line = write(each, 77)
        assert line.count(b"\n") == 1
        assert read(line).letter == each
        assert read(line).at_ms == 77
        assert read(line).id == id_of(each)
    ids = {id_of(letter(seq)) for seq in range(100)}
    assert len(ids) == 100


def test_a_choice_takes_what_fits_all_that_is_given() -> None:
    all_ = [read(write(letter(seq, reason), seq)) for seq, reason in ((1, "not json"), (2, "wrong counts"))]
    assert [kept.letter.seq for kept in all_ if Choice(reason="json").takes(kept)] == [1]
    assert [kept.letter.seq for kept in all_ if Choice(ids=(all_[1].id[:6],)).takes(kept)] == [2]
    assert [kept.letter.seq for kept in all_ if Choice(gateway="gw-1", before_ms=2).takes(kept)] == [1]
    assert [kept for kept in all_ if Choice(gateway="gw-2", everything=True).takes(kept)] == []
    assert [kept for kept in all_ if Choice(run="b").takes(kept)] == []
    assert not Choice().chooses


def test_one_letter_of_a_message_means_the_whole_message() -> None:
    parts = [
        DeadLetter("gw-1", RUN, seq, "r", "base64:eA==" if seq == 1 else "", message=(1, 3, "zlib"))
        for seq in (1, 2, 3)
    ]
    all_ = [read(write(each, 1)) for each in (*parts, letter(9))]
    assert [kept.letter.seq for kept in with_messages([all_[1]], all_)] == [1, 2, 3]
    assert [kept.letter.seq for kept in with_messages([all_[3]], all_)] == [9]


def test_a_group_counts_letters_values_and_batches_with_first_and_last_time() -> None:
    values = (("m1", "power_w", 5, "nan"), ("m1", "", 5, "{}"))
    all_ = [read(write(DeadLetter("gw-1", RUN, seq, "r", "", values), at)) for seq, at in ((1, 50), (1, 60), (2, 40))]
    ((key, group),) = grouped(all_).items()
    assert key == ("gw-1", RUN, "r")
    assert (group.letters, group.values, len(group.batches), group.first_ms, group.last_ms) == (3, 3, 2, 40, 60)
