#!/bin/sh
# wheelhouse.sh WHEEL: a folder with the program's WHEEL and all wheels that it needs, so that hosts install without a network.
#
#   PLATFORM  amd64 or arm64, as `dpkg --print-architecture` names the hosts'; by default this machine's
#   EXTRAS    edge, cloud, or both; by default both for amd64, edge for arm64, which are Raspberry Pis
#   PYTHONS   versions of Python that the hosts have; by default those of Debian 12 and 13
#   OUT       by default build/wheelhouse/PLATFORM; what it holds is replaced as a whole
set -eu
cd "$(dirname "$0")/.."
wheel=${1:?which wheel? run make wheelhouse}

stop() {
  echo "$1" >&2
  exit 1
}

here() {
  case $(uname -m) in
    x86_64) echo amd64 ;;
    aarch64 | arm64) echo arm64 ;;
    *) stop "PLATFORM: name amd64 or arm64" ;;
  esac
}

PLATFORM=${PLATFORM:-$(here)}
case $PLATFORM in
  amd64) machine=x86_64 default=edge,cloud ;;
  arm64) machine=aarch64 default=edge ;;
  armhf) stop "PLATFORM: armhf: PyYAML has no wheel for 32-bit ARM: put 64-bit Raspberry Pi OS on the board" ;;
  *) stop "PLATFORM: $PLATFORM is neither amd64 nor arm64" ;;
esac
EXTRAS=${EXTRAS:-$default}
PYTHONS=${PYTHONS:-3.11 3.13}
OUT=${OUT:-build/wheelhouse/$PLATFORM}

pip() {
  for python in .venv/bin/python python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then
      "$python" -m pip "$@"
      return
    fi
  done
  command -v uv >/dev/null || stop "No pip was found: sudo apt-get install -y python3-pip"
  uv tool run --quiet pip "$@"
}

# pip takes each tag as it stands: a wheel for an older C library has to be named, too. Debian 12 has glibc 2.36.
tags="--platform linux_$machine --platform manylinux2014_$machine"
minor=17
while [ "$minor" -le 36 ]; do
  tags="$tags --platform manylinux_2_${minor}_$machine"
  minor=$((minor + 1))
done
[ "$PLATFORM" != amd64 ] || tags="$tags --platform manylinux1_$machine --platform manylinux2010_$machine"

half=$OUT.half
rm -rf "$half"
mkdir -p "$half"
for version in $PYTHONS; do
  # shellcheck disable=SC2086  # the tags are words
  pip download -q --disable-pip-version-check --only-binary :all: --implementation cp --python-version "$version" $tags \
    -c constraints.txt -c deploy/ansible/constraints.txt -d "$half" "loopgauge[$EXTRAS] @ file://$(realpath "$wheel")" pip \
    || stop "The wheels for $PLATFORM, Python $version could not be had; the lines above say why."
done
rm -rf "$OUT"
mv "$half" "$OUT"
echo "$OUT: $(find "$OUT" -name '*.whl' | wc -l) wheels, $(du -sh "$OUT" | cut -f1), extras $EXTRAS, Python $PYTHONS"
