"""End-to-end tests of `qtun` itself: what a user sees, sends and gets wrong."""

from cli import (
    data_cases, input_cases, life_cases, pipe_cases, return_cases, service_cases, surface_cases)
from harness.suite import Case
from harness.tools import Tools


def cases(tools: Tools) -> list[Case]:
    modules = [
        surface_cases, data_cases, input_cases, life_cases, return_cases, service_cases,
        pipe_cases,
    ]
    groups = [module.GROUP for module in modules]
    return [case for group in groups for case in group.cases(tools)]
