"""A disk that is really full: a small tmpfs, filled by the spool itself or by others."""

from __future__ import annotations

import asyncio
import errno
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.errors import DiskFull
from edge_agent.keep.disk import BALLAST_BYTES, FileDisk
from edge_agent.keep.spool import Sealed, Spool

RUN, NEXT_RUN = "a" * 32, "b" * 32
DISK_BYTES = 12 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode != 0:
        pytest.skip(f"a small file system can be mounted by root only: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def batch(seq: int, size: int) -> Sealed:
    return Sealed(seq=seq, base_ms=1, guess_ms=1, to_ms=1, body=json.dumps({"from": 0, "to": 1, "pad": "x" * size}))


async def opened(folder: Path, run: str = RUN) -> Spool:
    spool = Spool(disk=FileDisk(path=folder / "spool.db", bytes_max=10**9), run=run, boot="boot")
    await spool.open()
    return spool


async def fill(spool: Spool, seq: int, size: int) -> int:
    """Seal until nothing goes, and go on trying for a while; the last seq that went."""
    refused = 0
    while refused < 30:
        try:
            await spool.seal(batch(seq + 1, size), [])
            seq += 1
        except DiskFull:
            refused += 1
    return seq


def _stuff(path: Path) -> None:
    """Write a file until nothing goes any more."""
    try:
        with path.open("wb", buffering=0) as others:
            while others.write(b"x" * 65536):
                pass
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017 - every file ends so here


@pytest.mark.parametrize("size", [500, 5_000, 60_000])
def test_a_spool_that_fills_the_disk_gives_way_to_acks_and_goes_on(size: int, small_disk: Path) -> None:
    async def main() -> None:
        spool = await opened(small_disk)
        last = await fill(spool, 0, size)
        assert last * size > DISK_BYTES / 3
        for round_ in range(3):
            held = sorted(seq for _, seq in spool.held)
            first, last_gone = held[0], held[len(held) * 2 // 3]
            for low in range(first, last_gone, 32):
                await spool.forget([(RUN, low, min(low + 31, last_gone))])
            again = await fill(spool, last, size)
            assert again > last + (last_gone - first) // 2, f"round {round_}: deleting made no room for new batches"
            last = again
        rows = await spool.take((RUN, min(seq for _, seq in spool.held), last))
        assert [row.seq for row in rows] == sorted(seq for _, seq in spool.held)
        await spool.close()

    asyncio.run(main())


def test_an_agent_that_starts_on_a_full_disk_can_still_send_and_delete(small_disk: Path) -> None:
    async def main() -> None:
        first = await opened(small_disk)
        last = await fill(first, 0, 5_000)
        await first.close()
        second = await opened(small_disk, NEXT_RUN)
        assert len(await second.take((RUN, 1, 32))) == 32
        await fill(second, 0, 60_000)
        await second.forget([(RUN, 1, last)])
        await second.seal(batch(100, 60_000), [])
        await second.close()

    asyncio.run(main())


@pytest.mark.parametrize("left", [0, 4096])
def test_a_ballast_of_which_a_power_cut_left_only_the_begin_is_put_there_anew(left: int, small_disk: Path) -> None:
    """Its name is durable before its bytes are. Taken for whole, it would leave nothing to delete with."""
    ballast = small_disk / "spool.db.ballast"
    ballast.write_bytes(b"x" * left)

    async def main() -> None:
        spool = await opened(small_disk)
        await spool.seal(batch(1, 500), [])
        assert ballast.stat().st_size == BALLAST_BYTES
        await spool.close()

    asyncio.run(main())


def test_a_ballast_that_cannot_be_given_up_is_a_full_disk_and_no_crash(small_disk: Path) -> None:
    """As on a card that the kernel has made read-only."""

    async def main() -> None:
        spool = await opened(small_disk)
        await spool.seal(batch(1, 500), [])
        ballast = small_disk / "spool.db.ballast"
        ballast.unlink()
        ballast.mkdir()
        _stuff(small_disk / "others")
        with pytest.raises(DiskFull):
            await set_aside_again_and_again(spool)
        await spool.close()

    async def set_aside_again_and_again(spool: Spool) -> None:
        for _ in range(100):
            await spool.set_aside((RUN, 1, 1), "x" * 100_000)

    asyncio.run(main())


def test_others_who_fill_the_disk_cost_no_batch_that_was_sealed_and_room_brings_it_back(small_disk: Path) -> None:
    async def main() -> None:
        spool = await opened(small_disk)
        for seq in range(1, 11):
            await spool.seal(batch(seq, 5_000), [])
        ballast = small_disk / "spool.db.ballast"
        assert ballast.stat().st_size == BALLAST_BYTES
        _stuff(small_disk / "others")
        await fill(spool, 10, 5_000)
        assert len(await spool.take((RUN, 1, 10))) == 10
        last = max(seq for _, seq in spool.held)
        # Confirmed while the disk is full: the seal that would have failed deletes first, with the ballast's room.
        await spool.forget([(RUN, 1, 5)])
        (small_disk / "others").unlink()
        await spool.seal(batch(last + 1, 5_000), [])
        assert ballast.exists()
        await spool.close()

    asyncio.run(main())


def test_a_seal_on_a_full_disk_deletes_what_is_confirmed_and_then_takes_its_place(small_disk: Path) -> None:
    async def main() -> None:
        spool = await opened(small_disk)
        last = await fill(spool, 0, 5_000)
        with pytest.raises(DiskFull):
            await spool.seal(batch(last + 1, 5_000), [(RUN, 1, 8)])
        assert min(seq for _, seq in spool.held) == 9, "what is confirmed goes, also where nothing new can be taken"
        await spool.seal(batch(last + 1, 5_000), [(RUN, 9, 300)])
        assert sorted(seq for _, seq in spool.held) == list(range(301, last + 2))
        await spool.close()

    asyncio.run(main())
