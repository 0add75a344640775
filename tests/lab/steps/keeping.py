"""Backup and restore: the database, and the fleet's authority with its secrets."""

from __future__ import annotations

import shutil

from tests.lab import store
from tests.lab.lab import Lab
from tests.lab.place import LAB
from tests.lab.shell import expect, run
from yaml_models.files import read_secret

BACKUPS = "/var/backups/loopgauge"
NOBODY_WRITES = ("--limit", "cloud", "-e", '{"fleet_gateways": []}')
"""The broker lets no gateway in, so that nothing is acknowledged that the restored database would not have."""
DROP = (
    "curl -sS -K - --cacert /etc/loopgauge/pki/ca.crt https://localhost:8086/query"
    " --data-urlencode 'q=DROP DATABASE loopgauge'"
)
RESTORE_S_MAX = 120


def database(lab: Lab) -> str:
    """The database is backed up, lost with all its files, set up anew and restored: no reading is missing."""
    cloud = lab.cloud
    cloud.sh("systemctl stop 'loopgauge-*'")  # so that nothing comes between backup and loss
    cloud.sh(f"install -d -m 700 {BACKUPS} && rm -rf {BACKUPS}/database")
    cloud.sh(f"influxd backup -portable -database loopgauge {BACKUPS}/database", within_s=RESTORE_S_MAX)
    cloud.sh(f"tar -C / -cf {BACKUPS}/ingest.tar var/lib/loopgauge/ingest")
    kept = {host.name: store.readings(host.name) for host in lab.gateways}
    size = cloud.says(f"du -sh {BACKUPS} | cut -f1")
    cloud.sh("systemctl stop influxdb.service && rm -rf /var/lib/influxdb/* /var/lib/loopgauge/ingest/*")
    lab.site(*NOBODY_WRITES, name="empty-database")
    cloud.sh("systemctl stop 'loopgauge-*'")
    expect(not any(store.readings(host.name) for host in lab.gateways), "the database was not lost")
    password = read_secret(store.SECRETS / "influxdb-admin")
    said = cloud.sh(DROP, stdin=f'user = "admin:{password}"\n').stdout
    expect("error" not in said, f"DROP DATABASE: {said}")
    cloud.sh(f"influxd restore -portable -db loopgauge {BACKUPS}/database", within_s=RESTORE_S_MAX)
    cloud.sh(f"tar -C / -xf {BACKUPS}/ingest.tar")
    lab.site("--limit", "cloud", name="restored-database")
    found = {host.name: store.readings(host.name) for host in lab.gateways}
    expect(all(found[name] >= number for name, number in kept.items()), f"kept {kept}, restored {found}")
    for name, number in found.items():
        lab.wait_for_readings(name, number)
    return f"{kept} in {size} | {lab.accounts()}"


def authority(lab: Lab) -> str:
    """Authority and secrets come back from an archive on the controller, and a run changes nothing."""
    archive = LAB / "fleet-backup.tar"
    run("tar", "-C", store.FLEET.parent, "-cpf", archive, store.FLEET.name)
    shutil.rmtree(store.FLEET)
    run("tar", "-C", store.FLEET.parent, "-xpf", archive)
    archive.unlink()
    return str(lab.site(name="authority-restored").expect_nothing_changed())
