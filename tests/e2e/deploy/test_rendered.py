"""What the playbooks put on hosts, rendered: it passes the programs' own checks, and keeps secrets to itself."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edge_agent.config import EdgeConfig, LimitConfig, UplinkConfig
from ingest.config import IngestConfig
from loopgauge.operator import OperatorConfig
from rollups.library import load_assets
from tests.e2e.deploy.rendered import ANSIBLE, GATEWAYS, Fleet, ansible
from tests.e2e.programs import ROOT
from yaml_models.parse import parse

EXAMPLE = ANSIBLE / "inventories" / "example"
AGENT = "/etc/systemd/system/loopgauge-edge.service"
EXPOSURE_MAX = {"agent": 20, "cloud": 15}
"""In tenths of what `systemd-analyze security` calls exposure."""

ONE_METER = """
          gateway_buses: {meters: {type: modbus_tcp, host: 127.0.0.1}}
          gateway_devices: {energy-meter: {profile: eastron-sdm630, bus: meters, unit_id: 1}}
"""
BROKER_ALONE = """
all:
  vars: {fleet_name: tests, fleet_influxdb_host: localhost%s}
  children:
    broker: {hosts: {cloud: }}
    gateways:
      hosts:
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The gateways of the inventory that is shipped as an example."""
    folder = tmp_path_factory.mktemp("example") / "rendered"
    return Fleet.render(folder, inventory=EXAMPLE, extra=("-l", "gateways"))


def ran(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=60)


def inventory(folder: Path, *gateways: str, settings: str = "", more: str = "") -> Path:
    """An inventory with a broker and gateways of one meter each."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = "".join(f"        {gateway}:{ONE_METER}" for gateway in gateways)
    path = folder / "hosts.yml"
    path.write_text(BROKER_ALONE % settings + entries + more, encoding="utf-8")
    return path


def edge_check(fleet: Fleet, gateway: str) -> subprocess.CompletedProcess[str]:
    site, profiles = (fleet.file(gateway, f"/etc/loopgauge/{name}") for name in ("site.yaml", "profiles"))
    return ran(sys.executable, "-m", "loopgauge.cli.main", "edge", "check", site, "--profiles", profiles)


def units(fleet: Fleet) -> list[Path]:
    return sorted(fleet.root.glob("*/etc/systemd/system/loopgauge-*.service"))


@pytest.mark.parametrize("gateway", ["plant-1", "yard-1"])
def test_the_agent_accepts_the_site_file_of_the_example(example: Fleet, gateway: str) -> None:
    checked = edge_check(example, gateway)
    assert checked.returncode == 0, checked.stderr
    assert yaml.safe_load(example.text(gateway, "/etc/loopgauge/site.yaml"))["gateway"] == gateway


def test_rollups_know_every_device_of_the_example() -> None:
    hosts = yaml.safe_load((EXAMPLE / "hosts.yml").read_text(encoding="utf-8"))["all"]["children"]["gateways"]["hosts"]
    read = {(gateway, device) for gateway, settings in hosts.items() for device in settings["gateway_devices"]}
    known = load_assets(EXAMPLE / "assets.yaml").assets.values()
    assert {(place.gateway, place.device) for asset in known for place in asset.places} == read


def test_no_unit_gives_an_intruder_more_than_it_must(example: Fleet, fleet: Fleet) -> None:
    found = [*units(example), *units(fleet)]
    assert {path.name for path in found} >= {"loopgauge-edge.service", "loopgauge-rollups.service"}
    for path in found:
        side = "agent" if path.name == "loopgauge-edge.service" else "cloud"
        answer = ran("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX[side]}", path)
        assert answer.returncode == 0, f"{path.relative_to(example.root.parent.parent)}: {answer.stdout[-200:]}"


def test_systemd_understands_every_line_of_every_unit(example: Fleet, fleet: Fleet, tmp_path: Path) -> None:
    for path in (*units(example), *units(fleet)):
        copy = tmp_path / path.name
        # Only the program itself is not on this machine; any that can be run does for the check.
        copy.write_text(path.read_text().replace("/opt/loopgauge/current/bin/loopgauge", "/bin/true"))
        answer = ran("systemd-analyze", "verify", "--recursive-errors=no", copy)
        assert answer.returncode == 0, answer.stderr
        assert not [line for line in answer.stderr.splitlines() if path.name in line], answer.stderr


def test_the_agent_may_open_only_the_devices_of_its_buses(example: Fleet) -> None:
    network, wired = (example.text(gateway, AGENT) for gateway in ("plant-1", "yard-1"))
    assert "PrivateDevices=yes" in network
    assert "DeviceAllow" not in network
    assert re.findall(r"^DeviceAllow=(.*)$", wired, re.M) == ["char-ttyUSB rw", "char-gpiochip rw"]
    assert "PrivateDevices" not in re.sub(r"^#.*$", "", wired, flags=re.M)


def test_the_agent_may_ask_whether_the_clock_is_right(example: Fleet) -> None:
    """ProtectClock= forbids adjtimex(2) even to ask; then no time would ever count as right."""
    unit = example.text("plant-1", AGENT)
    assert not re.search(r"^ProtectClock=(yes|true|1)", unit, re.M)
    calls = " ".join(re.findall(r"^SystemCallFilter=(?!~)(.*)$", unit, re.M)).split()
    assert {"adjtimex", "clock_adjtime"} <= set(calls)
    assert re.search(r"^CapabilityBoundingSet=$", unit, re.M)


def test_figures_for_prometheus_are_told_to_this_machine_alone(fleet: Fleet) -> None:
    for path in fleet.root.glob("*/etc/loopgauge/*.yaml"):
        metrics = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("metrics")
        assert metrics is None or metrics["host"] == "127.0.0.1", path


def test_nobody_but_its_user_can_read_a_secret(fleet: Fleet) -> None:
    keys = [*fleet.root.glob("*/etc/loopgauge/pki/*.key"), *fleet.root.glob("*/etc/loopgauge/secrets/*")]
    assert len(keys) > len(GATEWAYS)
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in keys if path.stat().st_mode & 0o377} == {}
    book = [fleet.authority, fleet.secrets, *fleet.authority.rglob("*"), *fleet.secrets.rglob("*")]
    assert not [path for path in book if path.stat().st_mode & 0o077]


def test_no_other_file_says_a_secret(fleet: Fleet) -> None:
    secrets = [path.read_text().strip() for path in fleet.secrets.iterdir()]
    assert secrets
    kept = {fleet.secrets, *fleet.root.glob("*/etc/loopgauge/secrets")}
    # Grafana reads its sources from a file alone, so that one holds the reader's password, and is Grafana's to read.
    for path in (each for each in fleet.root.rglob("*") if each.is_file() and each.parent not in kept):
        if path.stat().st_mode & 0o004:
            assert not [secret for secret in secrets if secret in path.read_text(errors="replace")], path


def test_every_host_has_a_key_of_its_own_and_no_other(fleet: Fleet) -> None:
    keys = [path.read_text() for path in fleet.root.glob("*/etc/loopgauge/pki/*.key")]
    assert len(set(keys)) == len(keys)
    for gateway in GATEWAYS:
        assert [path.name for path in fleet.file(gateway, "/etc/loopgauge/pki").glob("*.key")] == ["edge.key"]
        name = ran("openssl", "x509", "-noout", "-subject", "-in", fleet.file(gateway, "/etc/loopgauge/pki/edge.crt"))
        assert name.stdout.strip() == f"subject=CN = {gateway}"


def acl(fleet: Fleet) -> str:
    return "".join(path.read_text() for path in (fleet.root / "cloud/etc/mosquitto").rglob("*acl*"))


def subject(certificate: Path) -> str:
    return ran("openssl", "x509", "-noout", "-subject", "-in", certificate).stdout.strip()


def test_a_gateway_and_an_operator_are_one_entry_each_and_who_leaves_has_no_rights(tmp_path: Path) -> None:
    """One fleet in three states, as each rendering takes Ansible a quarter of a minute."""
    alone, both, after = (
        inventory(tmp_path / str(number), *gateways, settings=f", broker_operators: [{operators}]")
        for number, (gateways, operators) in enumerate(
            ((("plant-1",), "anna, bert"), (("plant-1", "yard-1"), "bert"), (("plant-1",), "bert"))
        )
    )
    folder = tmp_path / "rendered"
    rendered = Fleet.render(folder, inventory=alone, extra=("-l", "cloud"))
    first = acl(rendered)
    assert "lg/v1/plant-1/data" in first and "yard-1" not in first
    assert "user operator.anna\n" in first and "user operator.bert\n" in first
    assert subject(rendered.operator_file("anna", "operator.crt")) == "subject=CN = operator.anna"
    said = parse(rendered.operator_file("anna", "command.yaml").read_text(), OperatorConfig, file="command.yaml")
    assert (said.name, said.broker.host, said.broker.port) == ("anna", "cloud", 8883)
    key = rendered.operator_file("bert", "operator.key").read_text()

    Fleet.render(folder, inventory=both, extra=("-l", "cloud,yard-1"))
    assert "lg/v1/yard-1/data" in acl(rendered) and "anna" not in acl(rendered)
    assert edge_check(rendered, "yard-1").returncode == 0
    assert rendered.file("yard-1", "/etc/loopgauge/pki/edge.crt").is_file()
    assert rendered.operator_file("bert", "operator.key").read_text() == key, "he would be locked out until he is told"

    Fleet.render(folder, inventory=after, extra=("-l", "cloud"))
    annas = re.compile(r"\nuser operator\.anna\n(?:topic .*\n)+")
    assert annas.search(first) and acl(rendered) == annas.sub("", first)


def test_any_key_of_the_site_file_can_be_said(tmp_path: Path) -> None:
    extra = (
        '        plant-1:\n          gateway_extra: {clock: {trust: always}, uplink: {keepalive_s: 90}, board: "00ff"}'
    )
    path = inventory(tmp_path, more=extra + ONE_METER)
    rendered = Fleet.render(tmp_path / "rendered", inventory=path, extra=("-l", "plant-1"))
    assert edge_check(rendered, "plant-1").returncode == 0
    site = yaml.safe_load(rendered.text("plant-1", "/etc/loopgauge/site.yaml"))
    assert site["clock"] == {"trust": "always"}
    assert (site["uplink"]["keepalive_s"], site["uplink"]["host"], site["board"]) == (90, "cloud", "00ff")


def test_limits_and_a_budget_of_the_inventory_reach_the_agent(tmp_path: Path) -> None:
    settings = (
        ", gateway_alarms: {energy-meter: {voltage_l1_v: {above: 253}, power_w: {below: 0, clear_by: 5}}}"
        ", gateway_bytes_per_s_max: 50, gateway_send_every_s: 60, gateway_keepalive_s: 600, gateway_timeout_s: 40"
    )
    path = inventory(tmp_path, "plant-1", settings=settings)
    rendered = Fleet.render(tmp_path / "rendered", inventory=path, extra=("-l", "plant-1"))
    checked = edge_check(rendered, "plant-1")
    assert checked.returncode == 0, checked.stderr
    site = parse(rendered.text("plant-1", "/etc/loopgauge/site.yaml"), EdgeConfig, file="site.yaml")
    uplink = site.uplink
    assert (uplink.bytes_per_s_max, uplink.send_every_s, uplink.keepalive_s, uplink.timeout_s) == (50, 60, 600, 40)
    meter = site.devices["energy-meter"]
    assert (meter.profile, meter.unit_id) == ("eastron-sdm630", 1)
    assert meter.alarms == {"voltage_l1_v": LimitConfig(above=253), "power_w": LimitConfig(below=0, clear_by=5)}


def test_limits_of_a_device_and_those_beside_it_hold_both(tmp_path: Path) -> None:
    alarms = "{power_w: {above: 9}, voltage_l1_v: {above: 1}}"
    devices = f"{{energy-meter: {{profile: eastron-sdm630, bus: meters, alarms: {alarms}}}}}"
    more = (
        "        plant-1:\n          gateway_buses: {meters: {type: modbus_tcp, host: 127.0.0.1}}\n"
        f"          gateway_devices: {devices}\n"
        "          gateway_alarms: {energy-meter: {voltage_l1_v: {above: 253}}}\n"
    )
    path = inventory(tmp_path, more=more)
    rendered = Fleet.render(tmp_path / "rendered", inventory=path, extra=("-l", "plant-1"))
    site = yaml.safe_load(rendered.text("plant-1", "/etc/loopgauge/site.yaml"))
    assert site["devices"]["energy-meter"]["alarms"] == {"power_w": {"above": 9}, "voltage_l1_v": {"above": 253}}
    assert "bytes_per_s_max" not in site["uplink"], "without a budget the link's own pace holds"


def test_the_defaults_of_the_role_are_those_of_the_agent_and_the_worker() -> None:
    def defaults(role: str) -> dict[str, object]:
        path = ANSIBLE / "roles" / role / "defaults" / "main.yml"
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))

    edge, worker = defaults("gateway"), defaults("ingest")
    for name in ("send_every_s", "keepalive_s", "timeout_s"):
        assert edge[f"gateway_{name}"] == UplinkConfig.model_fields[name].default
    for name in ("devices", "kinds", "fields"):
        key = f"{name}_per_gateway_max"
        assert worker[f"ingest_{key}"] == IngestConfig.model_fields[key].default


BAD = {
    "a gateway called ingest": (("ingest",), "", "", "no gateway may be called ingest"),
    "a gateway's id": (("Plant.1",), "", "", "Plant.1: a gateway's name is its id"),
    "a misspelt group": (("plant-1",), "", "    gatewais: {hosts: {yard-1: }}\n", "unknown group gatewais: the groups"),
    "a revoked name": (
        ("plant-1",),
        ", pki_revoked: [{name: plant-1}]",
        "",
        "plant-1 is revoked by name, yet it is in",
    ),
    "days": (("plant-1",), ", pki_days: 30", "", "pki_renew_days: 90 is not less than pki_days (30)"),
    "a limit of nothing": (
        ("plant-1",),
        ", gateway_alarms: {energy-metre: {power_w: {above: 1}}}",
        "",
        "gateway_alarms: energy-metre: no such device: name one of energy-meter",
    ),
    "a wrong type": (("plant-1",), ", gateway_seal_every_s: soon", "", "gateway_seal_every_s"),
}


@pytest.mark.parametrize("gateways, settings, more, said", BAD.values(), ids=BAD.keys())
def test_a_bad_inventory_is_named_before_anything_is_done(
    gateways: tuple[str, ...], settings: str, more: str, said: str, tmp_path: Path
) -> None:
    path = inventory(tmp_path, *gateways, settings=settings, more=more)
    words = ("-e", f"render_to={tmp_path / 'rendered'}", "-l", gateways[0])
    done = ansible("-i", str(path), "playbooks/render.yml", *words)
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split()), done.stdout[-3000:]
    assert not list((tmp_path / "rendered").glob("*/etc/loopgauge/site.yaml"))


def test_a_bad_name_of_an_operator_is_said(tmp_path: Path) -> None:
    path = inventory(tmp_path, "plant-1", settings=", broker_operators: [Anna]")
    done = ansible("-i", str(path), "playbooks/render.yml", "-e", f"render_to={tmp_path / 'rendered'}", "-l", "cloud")
    assert done.returncode != 0 and "Anna: an operator's name is of" in " ".join(done.stdout.split())


def test_the_shipped_files_name_no_secret_and_no_machine_of_ours() -> None:
    files = ran("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "deploy/ansible").stdout.split()
    assert files
    assert not [name for name in files if "PRIVATE KEY" in (ROOT / name).read_text(encoding="utf-8")]
