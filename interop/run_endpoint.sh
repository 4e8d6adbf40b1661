#!/bin/bash
# Starts the endpoint as quic-interop-runner does: the image's entry point, after the base image's
# /setup.sh has set up routes through the simulator. Everything else is read from the environment by
# qtun-interop itself (see interop/Endpoint/InteropEnvironment.swift), including the exit status 127
# for test cases that it does not know.
set -eu

/setup.sh

# The client must not begin before the simulator forwards packets.
if [ "${ROLE:-}" = client ]; then
  /wait-for-it.sh sim:57832 -s -t 30
fi

exec qtun-interop
