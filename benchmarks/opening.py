"""What an agent does with its spool before it begins to sample: check it and load its index.

    python -m benchmarks.opening FILE

Prints the s that it took and the batches that it found, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from edge_agent.keep import recovery
from edge_agent.keep.disk import FileDisk
from edge_agent.keep.spool import Spool


async def main(path: Path) -> dict[str, float]:
    """Open it as a run that seals nothing."""
    began = time.perf_counter()
    recovered = recovery.recover(path)
    spool = Spool(disk=FileDisk(path=path, bytes_max=512_000_000), run="e" * 32, boot="b", wrecks=recovered.wrecks)
    await spool.open()
    took_s = time.perf_counter() - began
    batches = len(spool.held)
    await spool.close()
    return {"seconds": took_s, "batches": batches}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
