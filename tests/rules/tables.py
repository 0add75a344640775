"""The floor plan as data: which package may see which, and which file may touch the world. Edit here when a wall moves.

A path in a table may name a file that does not exist yet, so that it is born with its mark.
"""

from __future__ import annotations

from enum import StrEnum

PACKAGES = (
    "data_contract",
    "delivery_audit",
    "device_profiles",
    "edge_agent",
    "ingest",
    "loopgauge",
    "rollups",
    "series_store",
    "service_health",
    "simulators",
    "web_console",
    "yaml_models",
)

_STORE_PORT = ("series_store.port", "series_store.table", "series_store.names")

MAY_SEE: dict[str, tuple[str, ...]] = {
    "data_contract": (),
    "yaml_models": (),
    "service_health": (),
    "device_profiles": ("data_contract", "yaml_models"),
    "edge_agent": ("data_contract", "yaml_models", "device_profiles", "service_health"),
    "simulators": ("data_contract", "yaml_models", "device_profiles"),
    "series_store": ("data_contract",),
    "ingest": ("data_contract", "yaml_models", "service_health", *_STORE_PORT),
    "delivery_audit": ("data_contract", *_STORE_PORT),
    "rollups": ("data_contract", "yaml_models", "service_health", *_STORE_PORT),
    "web_console": (
        "data_contract",
        "delivery_audit",
        "service_health",
        "rollups.against",
        "rollups.catalog",
        *_STORE_PORT,
    ),
    "loopgauge": PACKAGES,
}
"""Package → packages or modules that it may import, besides itself."""

MUST_NOT_SEE: dict[str, tuple[tuple[str, str], ...]] = {
    "simulators": (("device_profiles.registers", "a meter that shares our codec would hide the codec's errors"),),
    "simulators/truth": (("yaml_models", "true figures know no asset register: a swapped role must show"),),
    "series_store/port.py": (("series_store.sqlite", "the port"), ("series_store.influx", "the port")),
    "series_store/table.py": (("series_store.sqlite", "the port"), ("series_store.influx", "the port")),
    "series_store/names.py": (("series_store.sqlite", "the port"), ("series_store.influx", "the port")),
    "series_store/sqlite": (("series_store.influx", "the other home"),),
    "series_store/influx": (("series_store.sqlite", "the other home"),),
}
"""Path → what it must not import although the package may, with the reason."""

LIBRARIES: dict[str, tuple[str, ...]] = {
    "data_contract": ("pydantic",),
    "yaml_models": ("pydantic", "yaml"),
    "device_profiles": ("pydantic",),
    "edge_agent": ("aiomqtt", "gpiozero", "paho", "pydantic", "pymodbus", "serial"),
    "simulators": ("aiomqtt", "amqtt", "gpiozero", "numpy", "paho", "pydantic", "serial"),
    "series_store": ("influxdb_client", "numpy", "pydantic", "urllib3"),
    "service_health": ("prometheus_client",),
    "ingest": ("numpy", "paho", "pydantic"),
    "delivery_audit": ("numpy", "pydantic"),
    "rollups": ("dask", "distributed", "numpy", "pydantic"),
    "web_console": ("pydantic", "starlette", "uvicorn"),
    "loopgauge": ("amqtt", "numpy", "paho", "pydantic", "uvicorn", "yaml"),
}
"""Package → libraries from outside that it may import at all: what its extra installs."""

PART_OF = {"pydantic_core": "pydantic"}
"""Library that comes only inside another → that one."""

PURE_LIBRARIES = ("numpy", "pydantic", "yaml")
"""Libraries that compute and touch nothing; any other is a vendor, and belongs into a shell."""


class Mark(StrEnum):
    """What a file may touch."""

    CORE = "core"
    """Computes: no event loop, socket, file or clock."""
    FLOW = "~"
    """Asyncio, and acts on the world only through ports."""
    SHELL = "!"
    """One vendor library, or the operating system."""
    ROOT = "^"
    """Wires the others."""


MARKS: dict[str, Mark] = {
    "loopgauge": Mark.ROOT,
    "loopgauge/demo/history.py": Mark.FLOW,
    "loopgauge/demo/register.py": Mark.CORE,
    "loopgauge/demo/sites.py": Mark.CORE,
    "loopgauge/demo/summary.py": Mark.CORE,
    "loopgauge/demo/virtual_time.py": Mark.SHELL,
    "loopgauge/demo/broker.py": Mark.SHELL,
    "yaml_models/files.py": Mark.SHELL,
    "yaml_models/tls.py": Mark.SHELL,
    "device_profiles/library.py": Mark.SHELL,
    "edge_agent/app.py": Mark.ROOT,
    "edge_agent/machine.py": Mark.ROOT,
    "edge_agent/clock.py": Mark.SHELL,
    "edge_agent/health.py": Mark.SHELL,
    "edge_agent/obey.py": Mark.FLOW,
    "edge_agent/read/poller.py": Mark.FLOW,
    "edge_agent/read/modbus.py": Mark.SHELL,
    "edge_agent/read/rtu.py": Mark.SHELL,
    "edge_agent/read/serial_line.py": Mark.SHELL,
    "edge_agent/read/hx711_pins.py": Mark.SHELL,
    "edge_agent/read/nau7802.py": Mark.SHELL,
    "edge_agent/read/iio.py": Mark.SHELL,
    "edge_agent/read/level.py": Mark.SHELL,
    "edge_agent/read/conversation.py": Mark.FLOW,
    "edge_agent/keep/spool.py": Mark.FLOW,
    "edge_agent/keep/beginning.py": Mark.FLOW,
    "edge_agent/keep/estimate.py": Mark.FLOW,
    "edge_agent/keep/recovery.py": Mark.SHELL,
    "edge_agent/keep/salvage.py": Mark.FLOW,
    "edge_agent/keep/schema.py": Mark.FLOW,
    "edge_agent/keep/at_rest.py": Mark.SHELL,
    "edge_agent/keep/sealer.py": Mark.FLOW,
    "edge_agent/keep/disk.py": Mark.SHELL,
    "edge_agent/send/sender.py": Mark.FLOW,
    "edge_agent/send/link.py": Mark.SHELL,
    "edge_agent/commission/probe.py": Mark.FLOW,
    "edge_agent/commission/read_once.py": Mark.FLOW,
    "edge_agent/commission/record.py": Mark.FLOW,
    "edge_agent/commission/calibrate.py": Mark.FLOW,
    "ingest/app.py": Mark.ROOT,
    "ingest/worker.py": Mark.FLOW,
    "ingest/consumer.py": Mark.SHELL,
    "ingest/dead_letters.py": Mark.SHELL,
    "ingest/letters_folder.py": Mark.SHELL,
    "ingest/requests_folder.py": Mark.SHELL,
    "ingest/worker_folder.py": Mark.SHELL,
    "ingest/bounds.py": Mark.FLOW,
    "ingest/names_folder.py": Mark.SHELL,
    "ingest/desk.py": Mark.FLOW,
    "ingest/gateways.py": Mark.SHELL,
    "ingest/check.py": Mark.SHELL,
    "ingest/share.py": Mark.SHELL,
    "ingest/sifted_client.py": Mark.SHELL,
    "service_health/endpoint.py": Mark.SHELL,
    "service_health/notify.py": Mark.SHELL,
    "service_health/watchdog.py": Mark.FLOW,
    "series_store/open.py": Mark.ROOT,
    "series_store/sqlite/database.py": Mark.SHELL,
    "series_store/sqlite/store.py": Mark.SHELL,
    "series_store/sqlite/backup.py": Mark.SHELL,
    "series_store/influx/http.py": Mark.SHELL,
    "series_store/influx/api2.py": Mark.SHELL,
    "delivery_audit/evidence.py": Mark.FLOW,
    "delivery_audit/parted.py": Mark.FLOW,
    "delivery_audit/seen.py": Mark.FLOW,
    "rollups/app.py": Mark.ROOT,
    "rollups/worker.py": Mark.FLOW,
    "rollups/steps.py": Mark.FLOW,
    "rollups/executor.py": Mark.SHELL,
    "rollups/library.py": Mark.SHELL,
    "rollups/render": Mark.SHELL,
    "web_console/app.py": Mark.ROOT,
    "simulators/app.py": Mark.ROOT,
    "simulators/clock.py": Mark.SHELL,
    "simulators/load_scenario.py": Mark.SHELL,
    "simulators/sqlite_file.py": Mark.SHELL,
    "simulators/truth/record.py": Mark.SHELL,
    "simulators/story/app.py": Mark.ROOT,
    "simulators/story/book.py": Mark.SHELL,
    "simulators/story/workers.py": Mark.SHELL,
    "simulators/devices/modbus.py": Mark.SHELL,
    "simulators/devices/line.py": Mark.SHELL,
    "simulators/chips/ahead.py": Mark.SHELL,
    "simulators/chips/hx711.py": Mark.SHELL,
    "simulators/chips/feed.py": Mark.SHELL,
    "simulators/fleet/app.py": Mark.ROOT,
    "simulators/fleet/live.py": Mark.FLOW,
    "simulators/fleet/publish.py": Mark.SHELL,
    "simulators/fleet/record.py": Mark.SHELL,
    "simulators/fleet/replay.py": Mark.FLOW,
    "simulators/fleet/waiting.py": Mark.FLOW,
    "simulators/fleet/prepare.py": Mark.SHELL,
}
"""Path of a file or folder → its mark; the longest path wins, and what no path covers is core."""

_TOUCHES_THE_WORLD = (
    "asyncio",
    "concurrent",
    "fcntl",
    "ftplib",
    "glob",
    "http",
    "importlib.resources",
    "mmap",
    "multiprocessing",
    "os",
    "pathlib",
    "pty",
    "queue",
    "sched",
    "select",
    "selectors",
    "shutil",
    "signal",
    "smtplib",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "termios",
    "threading",
    "time",
    "tty",
    "urllib.request",
)

BANNED_IMPORTS: dict[Mark, tuple[str, ...]] = {
    Mark.CORE: _TOUCHES_THE_WORLD,
    Mark.FLOW: (
        "concurrent",
        "http",
        "multiprocessing",
        "select",
        "selectors",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "threading",
        "time",
        "urllib.request",
    ),
    Mark.SHELL: (),
    Mark.ROOT: (),
}
"""Mark → modules of the standard library that it may not import; imports under TYPE_CHECKING do not count."""

VENDORS_MAX: dict[Mark, int] = {Mark.CORE: 0, Mark.FLOW: 0, Mark.SHELL: 1, Mark.ROOT: 2}
"""Mark → how many vendor libraries one file may import."""

_CLOCK = "take the time as an argument, a Clock port or now_ms"

BANNED_CALLS: dict[str, str] = {
    "time.time": _CLOCK,
    "time.time_ns": _CLOCK,
    "time.monotonic": _CLOCK,
    "time.monotonic_ns": _CLOCK,
    "time.perf_counter": _CLOCK,
    "time.sleep": "await asyncio.sleep in a flow, or wait on the port",
    "datetime.datetime.now": _CLOCK,
    "datetime.datetime.today": _CLOCK,
    "datetime.datetime.utcnow": _CLOCK,
    "datetime.date.today": _CLOCK,
}
"""Call → what to do instead; allowed where the file is a shell or a root."""

_DICT = "write a dict from kind to constructor in app.py"

BANNED_OUTSIDE: dict[str, tuple[tuple[str, ...], str]] = {
    "print": (
        ("loopgauge", "rollups/render"),
        "return the text, or log: only the command and its reports talk to a person",
    ),
    "importlib.import_module": (("loopgauge/cli",), _DICT),
    "__import__": ((), _DICT),
}
"""Call → where it may stand, and what to do elsewhere."""

BANNED_EVERYWHERE: dict[str, str] = {
    "asyncio.get_event_loop": "asyncio.get_running_loop, or asyncio.Runner at the root",
    "asyncio.ensure_future": "a named task in the program's TaskGroup",
}
"""Call → what to do instead, in every file of every package."""

SEEDED_ONLY: dict[str, tuple[str, ...]] = {
    "random": ("Random", "SystemRandom"),
    "numpy.random": ("Generator", "PCG64", "SeedSequence", "default_rng"),
}
"""Module of chance → what may be called in it: all else draws from a global state that no seed replays."""

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
