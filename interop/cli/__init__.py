"""End-to-end tests of `qtun` itself: what a user sees, sends and gets wrong."""

import importlib
import pkgutil

from harness.suite import Case
from harness.tools import Tools


def cases(tools: Tools) -> list[Case]:
    """Every case of every module here whose name ends in `_cases`; each has one `GROUP`."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"cli.{name}") for name in names if name.endswith("_cases")]
    return [case for module in modules for case in module.GROUP.cases(tools)]
