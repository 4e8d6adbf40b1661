"""Honest peers of other make: the cases of quic-interop-runner, in both roles over loopback."""

from foreign import aioquic_cases, gtls_cases, iroh_cases, own_cases
from harness.suite import Case
from harness.tools import Tools


def cases(tools: Tools) -> list[Case]:
    return (
        aioquic_cases.cases(tools) + gtls_cases.cases(tools) + iroh_cases.cases(tools)
        + own_cases.cases(tools))
