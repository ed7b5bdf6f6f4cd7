#!/usr/bin/env bash
# Makes .venv and keeps it in step with the lock file. Says nothing when there is nothing to do.
#
#   bash deploy/bootstrap.sh run    what rosterd needs to run   (requirements.lock)
#   bash deploy/bootstrap.sh dev    that and the test tools     (requirements-dev.lock)
#
# Every package is checked against the hashes in the lock. The project itself is installed
# editable, built by the setuptools that the lock names, so nothing unpinned is fetched for it.
# Written for bash 3.2, which macOS still ships: no arrays, no ${name,,}.

set -eu

want=${1:-run}
cd "$(dirname "$0")/.."
root=$(pwd -P)
python=.venv/bin/python

case $want in
    run) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "usage: $0 run|dev" >&2; exit 2 ;;
esac

# What an outer environment says must not leak into this one.
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { echo "rosterd: $*" >&2; }

has_uv() { uv --version >/dev/null 2>&1; }

# A folder that was moved or copied has commands that point to the old place.
is_usable() {
    [ -x "$python" ] || return 1
    "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || return 1
    [ ! -f .venv/.rosterd-root ] || [ "$(cat .venv/.rosterd-root)" = "$root" ]
}

# The first Python >= 3.11 that brings what `-m venv` needs (Debian packs that apart).
find_python() {
    for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
        if "$name" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 &&
            "$name" -I -c 'import venv, ensurepip' >/dev/null 2>&1; then
            echo "$name"
            return 0
        fi
    done
    return 1
}

make_venv() {
    rm -rf .venv
    if has_uv && uv venv --quiet --no-project --python '>=3.11' .venv; then
        :
    elif found=$(find_python) && "$found" -I -m venv .venv; then
        :
    else
        say "install uv, or Python 3.11 or newer with its venv module (Debian: apt-get install python3 python3-venv), then run this again"
        exit 1
    fi
    echo "$root" >.venv/.rosterd-root
}

# install ARGUMENTS: with uv where it is, else with the environment's own pip.
install() {
    if has_uv; then
        uv pip install --quiet --python "$python" "$@"
    else
        if ! "$python" -I -m pip --version >/dev/null 2>&1; then
            "$python" -I -m ensurepip >/dev/null
        fi
        "$python" -I -m pip install --quiet "$@"
    fi
}

# in_step STAMP FILE: was the environment last made from this very file?
in_step() { [ -f ".venv/.rosterd-$1" ] && [ "$(cat ".venv/.rosterd-$1")" = "$(cksum <"$2")" ]; }

stamp() { cksum <"$2" >".venv/.rosterd-$1"; }

is_usable || make_venv

if ! in_step "$want" "$lock"; then
    say "installing what $lock names into .venv; once, about a minute"
    rm -f .venv/.rosterd-project
    # The lock names everything. pip would go by what one package asks of another with extras, find
    # that without a pin of its own, and refuse it beside hashes.
    install --no-deps --require-hashes -r "$lock"
    stamp "$want" "$lock"
    # The two locks agree by the way they are made, and dev holds all of run.
    [ "$want" = run ] || stamp run requirements.lock
fi

if ! in_step project pyproject.toml; then
    install --no-deps --no-build-isolation -e .
    echo "$root" >.venv/.rosterd-root
    stamp project pyproject.toml
fi
