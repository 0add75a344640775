"""Who may command gateways does, over the broker as it was set up; who may not is heard by no gateway."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.lab import store
from tests.lab.host import Host
from tests.lab.lab import EDGE, Lab
from tests.lab.place import PYTHON, ROOT
from tests.lab.shell import expect, run, tail
from tests.lab.steps.faults import comes_back
from tests.lab.steps.fleet import METRICS

OPERATORS = store.FLEET / "operators"
ANNA, BERT = "anna", "bert"
BERT_LEAVES = ("--limit", "cloud", "-e", json.dumps({"broker_operators": [ANNA]}))
ANSWER_S_MAX = 90
SILENCE_S = 12
"""Longer than a gateway takes for any answer that it gives at once."""


def commands(lab: Lab) -> str:
    """With the file that the playbook made, an operator has a gateway do each of the four things, and is answered."""
    host, shown = lab.hosts["gw-1"], []
    before = _counted(host, "obeyed")
    for verb in ("birth", "flush", "reread"):
        shown.append(f"{verb}: {_obeyed(host, verb)['text']}")
    pid, restarts = host.property_of(EDGE, "MainPID"), int(host.property_of(EDGE, "NRestarts"))
    readings = store.readings(host.name)
    expect(_counted(host, "obeyed") == before + 3, "the gateway has not counted what it has obeyed")
    _obeyed(host, "restart")
    seconds = comes_back(host, EDGE, pid)
    expect(
        int(host.property_of(EDGE, "NRestarts")) == restarts + 1, "systemd did not start it again, or more than once"
    )
    lab.wait_for_readings(host.name, readings)
    return f"{'; '.join(shown)}; restart: back after {seconds:.0f} s | {lab.accounts()}"


def no_right(lab: Lab) -> str:
    """Neither another gateway nor an operator who has left reaches a gateway; back on the list, the operator does."""
    host = lab.hosts["gw-1"]
    before = {what: _counted(host, what) for what in ("obeyed", "refused")}
    pid = host.property_of(EDGE, "MainPID")
    said = [_unheard(host, _as_gateway("gw-2"))]
    lab.site(*BERT_LEAVES, name="operator-leaves")
    said.append(_unheard(host, OPERATORS / BERT / "command.yaml"))
    after = {what: _counted(host, what) for what in before}
    expect(after == before, f"the gateway has heard them: {before}, then {after}")
    expect(host.property_of(EDGE, "MainPID") == pid, "the agent was restarted")
    _obeyed(host, "birth", ANNA)
    recap = lab.site("--limit", "cloud", name="operator-comes-back")
    _obeyed(host, "birth", BERT)
    return f"{'; '.join(said)}; {recap}"


def _command(host: Host, verb: str, config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    words = ("command", host.name, verb, "--config", str(config), "--json", *words)
    return run(PYTHON, "-m", "loopgauge.cli.main", *words, check=False, cwd=ROOT, within_s=ANSWER_S_MAX + 30)


def _obeyed(host: Host, verb: str, operator: str = ANNA) -> dict[str, Any]:
    done = _command(host, verb, OPERATORS / operator / "command.yaml", "--timeout", str(ANSWER_S_MAX))
    expect(done.returncode == 0, f"{operator}: {verb}: exit code {done.returncode}: {tail(done.stdout + done.stderr)}")
    reply: dict[str, Any] = json.loads(done.stdout)
    return reply


def _unheard(host: Host, config: Path) -> str:
    """What who may not command is told: that nobody answers."""
    done = _command(host, "restart", config, "--timeout", str(SILENCE_S))
    expect(done.returncode == 1 and done.stderr.strip(), f"exit code {done.returncode}: {done.stdout}{done.stderr}")
    expect("Traceback" not in done.stderr, done.stderr)
    return done.stderr.strip()


def _as_gateway(name: str) -> Path:
    """An operator's file of somebody who has taken a gateway's key and certificate."""
    folder = store.FLEET / "thief"  # goes with the authority
    folder.mkdir(mode=0o700, exist_ok=True)
    pki = Host(name).root / "etc/loopgauge/pki"
    said = yaml.safe_load((OPERATORS / ANNA / "command.yaml").read_text())
    tls = {"ca_file": str(store.CA_FILE)}
    for part, ending in (("cert_file", "crt"), ("key_file", "key")):
        (folder / f"edge.{ending}").write_bytes((pki / f"edge.{ending}").read_bytes())
        (folder / f"edge.{ending}").chmod(0o600)
        tls[part] = str(folder / f"edge.{ending}")
    said["broker"]["tls"] = tls
    (folder / "command.yaml").write_text(yaml.safe_dump(said))
    return folder / "command.yaml"


def _counted(host: Host, what: str) -> float:
    """Of all commands that its agent obeyed or refused in this life."""
    lines = [
        line for line in host.says(METRICS).splitlines() if line.startswith(f"loopgauge_edge_commands_{what}_total{{")
    ]
    return sum(float(line.rpartition(" ")[2]) for line in lines)
