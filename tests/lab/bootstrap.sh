#!/bin/sh
# Makes .venv with all that Ringmaster and its tests need, from a fresh clone on a bare Debian 12.
# Quick when nothing has changed. Says in one sentence what is missing when it cannot.
set -eu
cd "$(dirname "$0")/../.."

python=${PYTHON:-python3}
stamp=.venv/.requirements

fail() {
    echo "$1" >&2
    exit 1
}

works() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null
}

checksum() {
    { cat requirements.txt tests/requirements.txt; "$python" -V; pwd; } | sha256sum
}

if ! command -v "$python" >/dev/null || ! works; then
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
        fail "Python with venv is missing. Install it (on Debian: apt-get install python3 python3-venv)."
    echo "Installing python3 and python3-venv ..."
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        python3 python3-venv ca-certificates
    works || fail "'$python' still cannot make a venv after installing python3-venv."
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Ringmaster needs Python 3.11 or newer; '$python' is $("$python" -V). Name another: make PYTHON=python3.12 ..."

if [ "$(cat "$stamp" 2>/dev/null)" != "$(checksum)" ]; then
    echo "Making .venv and installing the packages (once, about a minute) ..."
    "$python" -m venv --clear .venv
    .venv/bin/pip install --disable-pip-version-check --quiet --progress-bar on \
        --require-hashes -r tests/requirements.txt
    checksum > "$stamp"
fi
