#!/bin/sh
# Builds dist/rebound_init-*.whl and dist/python_prctl-*.whl, for `pip install --no-index`.
#
#   images/wheel/build.sh [python]
#
# Needs a C compiler, Python's headers and libcap's.  What comes from a package index is what
# build.txt and run.txt say, by version and hash, or nothing is built; `nox -s lock` renews
# them.  A user's `pip install .` takes what is newest within the bounds of pyproject.toml.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
work=$repository/build/wheel
rm -rf "$work"
"${1:-python3}" -m venv "$work"
pip() {
	"$work/bin/python" -m pip --disable-pip-version-check "$@"
}
pip install --quiet --require-hashes --only-binary :all: --requirement "$here/build.txt"
# What it takes to build is installed, and nothing else is looked for.  Nor in the cache of
# wheels, where python-prctl may be as another setuptools has built it.
wheel() {
	pip wheel --quiet --no-deps --no-build-isolation --no-cache-dir \
		--wheel-dir "$repository/dist" "$@"
}
wheel --require-hashes --requirement "$here/run.txt"
wheel "$repository"
