#!/bin/sh
# Runs the tests on real servers, after installing what they need. Arguments go to pytest.
#
# usage: scripts/test.sh [--full] [pytest's arguments]
set -eu

cd "$(dirname "$0")/.."
sh scripts/setup.sh test
exec .venv/bin/python -m pytest "$@"
