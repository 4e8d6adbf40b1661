#!/usr/bin/env python3
"""Measures qtun from outside, in network namespaces of its own, against the bars it must reach.

Needs root for the namespaces. Prints a table; a missed bar is a result, not an error.
Exit codes: 0 measured (or skipped, with the reason), 1 something broke or, with --strict, a bar
was missed, 2 wrong command line, 130 interrupted, 143 terminated.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap

# The repository stays as it is.
sys.dont_write_bytecode = True

from benchmark import measures  # pylint: disable=wrong-import-position
from benchmark.process import Broken  # pylint: disable=wrong-import-position
from benchmark.tunnel import Programs  # pylint: disable=wrong-import-position

TABLE_COLUMNS_MAX = 100


def main():
  options = parse_arguments()
  reason = reason_to_skip()
  if reason:
    print(f"bench: skipped: {reason}", file=sys.stderr)
    return 0
  # A polite end is an exception like Ctrl-C, so that everything is cleaned up on the way out.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
  # A shell that starts this in the background has Ctrl-C ignored for it.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  facts = machine_facts(options.qtun)
  for name, value in facts.items():
    print(f"{name:<10} {value}")
  print()
  try:
    rows, failures = measure(options)
  except KeyboardInterrupt:
    return 130
  misses = [row for row in rows if row.passed is False]
  print_table(rows)
  for name, failure in failures.items():
    print(f"BROKEN  {name}: {failure}")
  print(f"\n{len(rows)} rows: {sum(row.passed is True for row in rows)} pass, "
        f"{len(misses)} MISS; {len(failures)} measurements broken")
  if options.json:
    with open(options.json, "w", encoding="utf-8") as file:
      json.dump({"facts": facts, "rows": [dataclasses.asdict(row) for row in rows],
                 "broken": failures}, file, indent=2)
      file.write("\n")
  return 1 if failures or (options.strict and misses) else 0


def parse_arguments():
  parser = argparse.ArgumentParser(description="measure qtun against its bars")
  parser.add_argument("--qtun", required=True, type=program, help="the qtun program")
  parser.add_argument("--load", required=True, type=program, help="the qtun-load program")
  parser.add_argument("--only", action="append", choices=list(measures.ALL), metavar="NAME",
                      help="one of " + ", ".join(measures.ALL) + "; may be repeated")
  parser.add_argument("--quick", action="store_true", help="smaller sizes, rougher figures")
  parser.add_argument("--json", metavar="FILE", help="also write every figure to this file")
  parser.add_argument("--strict", action="store_true", help="exit 1 when a bar is missed")
  return parser.parse_args()


def program(path):
  """An absolute path, because programs run in other namespaces and directories."""
  if not os.access(path, os.X_OK) or os.path.isdir(path):
    raise argparse.ArgumentTypeError(f"{path} is not a program; build it first")
  return os.path.abspath(path)


def reason_to_skip():
  if os.geteuid() != 0:
    return "network namespaces need root; run it with sudo"
  if not shutil.which("ip"):
    return "the program `ip` is missing; install the package iproute2"
  probe = f"qtun-bench-{os.getpid()}-probe"
  done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
  if done.returncode != 0:
    return f"this machine allows no network namespaces ({done.stderr.strip()})"
  subprocess.run(["ip", "netns", "del", probe], check=False)
  return None


def machine_facts(qtun):
  """What a reader needs to compare these figures with others."""

  def output(*command):
    done = subprocess.run(
      command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else "unknown"

  with open("/proc/cpuinfo", encoding="utf-8") as file:
    model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")),
                 platform.machine())
  memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
  return {
    "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
    "command": shlex.join(["bench.py", *sys.argv[1:]]),
    "machine": f"{len(os.sched_getaffinity(0))} cores of {model}, {memory:.0f} GiB",
    "kernel": f"{platform.system()} {platform.release()}",
    "qtun": output(qtun, "version"),
    "gtls": output("dpkg-query", "-W", "-f", "${Version}\n", "ngtcp2-client"),
    "load": f"{os.getloadavg()[0]:.2f} before the start",
  }


def measure(options):
  """All wanted measurements, one after the other; one that breaks does not stop the rest."""
  wanted = {name: measures.ALL[name] for name in measures.ALL
            if not options.only or name in options.only}
  if "bulk" in wanted and "loopback" in wanted:
    wanted["bulk"] = measures.bulk_and_loopback
    del wanted["loopback"]
  sizes = measures.QUICK if options.quick else measures.Sizes()
  rows, failures = [], {}
  with tempfile.TemporaryDirectory(prefix="qtun-bench-") as directory:
    programs = Programs(options.qtun, options.load, directory)
    for name, function in wanted.items():
      print(f"measuring {name} ...", file=sys.stderr, flush=True)
      try:
        rows += function(programs, sizes)
      except (Broken, OSError, subprocess.SubprocessError) as failure:
        print(f"  broken: {failure}", file=sys.stderr)
        failures[name] = str(failure)
  return rows, failures


def print_table(rows):
  columns = [("what", "bar", "measured", "")]
  verdicts = {True: "pass", False: "MISS", None: "-"}
  columns += [(row.what, row.bar, row.measured, verdicts[row.passed]) for row in rows]
  widths = [max(len(line[index]) for line in columns) for index in range(4)]
  for line, row in zip(columns, [None, *rows]):
    print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip())
    if row and row.detail:
      print(textwrap.fill(row.detail, TABLE_COLUMNS_MAX, initial_indent="    ",
                          subsequent_indent="    "))


if __name__ == "__main__":
  sys.exit(main())
