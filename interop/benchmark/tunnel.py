"""One service, one `qtun share`, one `qtun connect` and the instrument that loads them."""

import contextlib
import json
import os
import re
import subprocess
import time

from .network import in_namespace
from .process import Broken, Process

READY_SECONDS = 15.0
LOAD_SECONDS_MAX = 900.0
ENTRANCE_PORT = 7300


class Programs:
  """The two binaries under test and the directory for everything that they write."""

  def __init__(self, qtun, load, directory):
    self.qtun = qtun
    self.load = load
    self._directory = directory
    self._count = 0

  def fresh_path(self, name):
    """A path that was not given out before."""
    self._count += 1
    return os.path.join(self._directory, f"{self._count}-{name}")

  def start(self, name, namespace, command):
    """Starts a program in a namespace, with an identity directory of its own."""
    home = self.fresh_path("home")
    os.mkdir(home, 0o700)
    return Process(
      name, in_namespace(namespace, command), self.fresh_path(f"{name}.log"),
      {"QTUN_IDENTITY": os.path.join(home, "identity"), "HOME": home})

  @contextlib.contextmanager
  def share(self, namespace, *services):
    """A running `qtun share`: the process and its ticket."""
    share = self.start("share", namespace, [self.qtun, "share", *services])
    try:
      ticket = share.read_line(READY_SECONDS).strip()
      if not ticket.startswith("qtun1"):
        raise Broken(f"share printed {ticket[:60]!r} where a ticket belongs")
      yield share, ticket
    finally:
      share.stop()

  @contextlib.contextmanager
  def service(self, namespace):
    """A running `qtun-load serve`: the process and its port."""
    server = self.start("serve", namespace, [self.load, "serve", "--listen", "0.0.0.0:0"])
    try:
      deadline = time.monotonic() + READY_SECONDS
      while not (found := re.search(r"listening \S+:(\d+)\n", server.log_text())):
        server.check_alive()
        if time.monotonic() > deadline:
          raise Broken("serve does not listen")
        time.sleep(0.01)
      yield server, int(found.group(1))
    finally:
      server.stop()

  @contextlib.contextmanager
  def tunnel(self, network, entrance_port=ENTRANCE_PORT, options=()):
    """A whole tunnel, ready: a first byte has travelled through it. `options` are connect's."""
    with contextlib.ExitStack() as stack:
      server, port = stack.enter_context(self.service(network.server_namespace))
      share, ticket = stack.enter_context(
        self.share(network.server_namespace, f"127.0.0.1:{port}"))
      entrance = f"127.0.0.1:{entrance_port}"
      connect = self.start(
        "connect", network.client_namespace, [self.qtun, "connect", ticket, entrance, *options])
      stack.callback(connect.stop)
      tunnel = Tunnel(self, network, server, port, share, connect, entrance_port)
      tunnel.wait_until_ready()
      yield tunnel
      for process in (server, share, connect):
        process.check_alive()


class Tunnel:
  """A running tunnel; `load` measures through it, `load_directly` past it."""

  def __init__(self, programs, network, server, port, share, connect, entrance_port):
    self.programs = programs
    self.network = network
    self.server = server
    self.port = port
    self.share = share
    self.connect = connect
    self.entrance_port = entrance_port

  def wait_until_ready(self):
    deadline = time.monotonic() + READY_SECONDS
    while True:
      try:
        self.load("latency", "--count", 1, "--timeout", 5)
        return
      except Broken as failure:
        if time.monotonic() > deadline:
          raise Broken(
            f"no byte came through within {READY_SECONDS:.0f} s ({failure}); "
            f"share{self.share.log_tail()}; connect{self.connect.log_tail()}") from failure
        time.sleep(0.05)

  def load(self, mode, *options, at_pause=None):
    """Runs a mode of the instrument through the tunnel; see `run_load`."""
    return self._run_load(f"127.0.0.1:{self.entrance_port}", mode, options, at_pause)

  def load_at(self, port, mode, *options):
    """Runs a mode through another entrance to the same service."""
    return self._run_load(f"127.0.0.1:{port}", mode, options, None)

  def load_directly(self, mode, *options):
    """Runs a mode straight to the service."""
    return self._run_load(f"{self.network.server_host}:{self.port}", mode, options, None)

  def bulk_rate(self, size, direction="down"):
    """Gbit/s of one checked transfer."""
    report = self.load("bulk", "--bytes", size, "--direction", direction)
    return report["gbit_per_second"]

  def processor_seconds(self):
    """What both ends of the tunnel have used so far."""
    return self.share.processor_seconds() + self.connect.processor_seconds()

  def _run_load(self, address, mode, options, at_pause):
    """The report of one run; `at_pause` is called with each report in the middle."""
    command = [self.programs.load, mode, address, *map(str, options)]
    pause_path = None
    if at_pause:
      pause_path = self.programs.fresh_path("pause")
      command += ["--pause-file", pause_path]
    child = subprocess.Popen(
      in_namespace(self.network.client_namespace, command), stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + LOAD_SECONDS_MAX
    try:
      while child.poll() is None:
        if time.monotonic() > deadline:
          raise Broken(f"{mode} is not done after {LOAD_SECONDS_MAX:.0f} s")
        if pause_path and os.path.exists(pause_path):
          with open(pause_path, encoding="utf-8") as file:
            middle = json.load(file)
          at_pause(middle)
          os.unlink(pause_path)
        with contextlib.suppress(subprocess.TimeoutExpired):
          child.wait(0.02)
      output = child.stdout.read()
    finally:
      if child.poll() is None:
        child.kill()
        child.wait()
      child.stdout.close()
    try:
      report = json.loads(output)
    except ValueError:
      raise Broken(f"qtun-load {mode} ended with code {child.returncode}, no report") from None
    if "error" in report:
      raise Broken(f"{mode}: {report['error']}")
    return report
