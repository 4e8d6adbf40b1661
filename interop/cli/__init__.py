"""End-to-end tests of `qtun` itself: what a user sees, sends and gets wrong."""

from cli import data_cases, input_cases, life_cases, surface_cases
from harness.suite import Case
from harness.tools import Tools


def cases(tools: Tools) -> list[Case]:
    groups = [surface_cases.GROUP, data_cases.GROUP, input_cases.GROUP, life_cases.GROUP]
    return [case for group in groups for case in group.cases(tools)]
