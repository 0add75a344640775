#!/bin/sh
# Brings the servers that the e2e tests need, where it may (root, or sudo without a password); else says how and goes on:
# pytest then leaves those tests out and lists them, or fails where CI=true.
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=
command -v mosquitto >/dev/null || missing="$missing mosquitto"
command -v influxd >/dev/null || missing="$missing influxdb"
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
  as_root="sudo -n"
fi
if ! command -v apt-get >/dev/null || ! $as_root true 2>/dev/null; then
  echo "Not installed:$missing. Tests that need them are left out; with them: sudo apt-get install -y$missing" >&2
  exit 0
fi

echo "Installing$missing by apt-get, for the e2e tests." >&2
if ! { $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing; } >/dev/null; then
  echo "apt-get could not install$missing; tests that need them are left out." >&2
  exit 0
fi
# The tests start servers of their own; Debian's services would listen on this machine for good, InfluxDB without a password.
if [ -d /run/systemd/system ]; then
  $as_root systemctl disable --now --quiet $missing || echo "Running as services now:$missing." >&2
fi
