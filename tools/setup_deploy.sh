#!/bin/sh
# setup_deploy.sh: makes .venv-deploy, or brings it up to date, with ansible-core and ansible-lint in the versions that were tried.
set -eu
cd "$(dirname "$0")/.."

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
pins=deploy/ansible/constraints.txt

stop() {
  echo "$1" >&2
  exit 1
}

python=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
  if "$candidate" -c "$new_enough" 2>/dev/null; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || stop "Ansible needs Python 3.11 or later: sudo apt-get install -y python3 python3-venv   (Debian 12, Ubuntu 24.04 or later)"
command -v openssl >/dev/null || stop "The fleet's authority is made by openssl: sudo apt-get install -y openssl"

# An interpreter that was upgraded away leaves an environment behind that cannot start.
if [ -e .venv-deploy ] && ! .venv-deploy/bin/python -c "$new_enough" 2>/dev/null; then
  rm -rf .venv-deploy
fi

with_uv() {
  command -v uv >/dev/null || return 1
  [ -e .venv-deploy ] || uv venv -q --python "$python" .venv-deploy || return 1
  uv pip install -q --python .venv-deploy/bin/python -c "$pins" ansible-core ansible-lint
}

with_pip() {
  if ! .venv-deploy/bin/python -m pip --version >/dev/null 2>&1; then
    "$python" -m venv .venv-deploy
  fi
  .venv-deploy/bin/python -m pip install -q --disable-pip-version-check -c "$pins" ansible-core ansible-lint
}

echo "Setting up .venv-deploy with Ansible; the first time this may take a minute." >&2
with_uv || with_pip || stop "Ansible could not be installed; the lines above say why. Mend it and run this again."
