#!/usr/bin/env bash
# Runs one test program for `make test`. The tests of whole systems wait much for processes and timeouts, so one more of
# them runs at a time than of the others, which use the processors themselves.
case $(basename "$1") in
  processes-*) export RUST_TEST_THREADS=${RUST_TEST_THREADS:-3} ;;
esac
exec "$@"
