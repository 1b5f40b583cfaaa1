#!/bin/sh
# Installs what the tests need, and runs them on real servers.
#
# usage: scripts/test.sh [--full] [--docker=no|only] [arguments for pytest]
set -eu

cd "$(dirname "$0")/.."
sh scripts/setup.sh test
exec .venv/bin/python -m pytest "$@"
