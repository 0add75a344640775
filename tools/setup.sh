#!/bin/sh
# setup.sh EXTRAS: makes .venv, or brings it up to date, with this checkout and the libraries of EXTRAS (edge,cloud,sim[,dev]).
# What the machine itself lacks is said in one line with the command that brings it.
set -eu
extras=$1

stop() {
  echo "$1" >&2
  exit 1
}

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

python=
for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
  if "$candidate" -c "$new_enough" 2>/dev/null; then
    python=$candidate
    break
  fi
done
[ -n "$python" ] || stop "Loopgauge needs Python 3.11 or later, and $(python3 --version 2>/dev/null || echo 'no python3') was found: \
sudo apt-get install -y python3 python3-venv   (Debian 12, Ubuntu 24.04 or later)"

case ",$extras," in
  *,dev,*) command -v git >/dev/null || stop "The tests ask git which files belong to the project: sudo apt-get install -y git" ;;
esac

command -v uv >/dev/null || "$python" -c 'import ensurepip, venv' 2>/dev/null \
  || stop "$python cannot make a virtual environment: sudo apt-get install -y $(basename "$python")-venv"

# An interpreter that was upgraded away leaves a .venv behind that cannot start.
if [ -e .venv ] && ! .venv/bin/python -c "$new_enough" 2>/dev/null; then
  rm -rf .venv
fi

with_uv() {
  command -v uv >/dev/null || return 1
  [ -e .venv ] || uv venv -q --python "$python" .venv || return 1
  uv pip install -q --python .venv/bin/python -c constraints.txt -e ".[$extras]"
}

with_pip() {
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    "$python" -m venv .venv
  fi
  .venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[$extras]"
}

echo "Setting up .venv with the libraries of [$extras]; the first time this may take a minute." >&2
with_uv || with_pip || stop "The libraries could not be installed; the lines above say why. Mend it and run make again."
