"""iperf3's UDP test through a tunnel: what is lost, and by whom."""

import contextlib
import json
import re
import shutil
import subprocess
import time

from .network import in_namespace
from .process import Broken

TARGET_PORT, ENTRANCE_PORT = 7400, 7401
# Room for what arrives while the receiver waits for a core; the kernel's default holds 3 ms of it.
RECEIVER_WINDOW = "2M"


def missing_programs():
  """What this measurement lacks here."""
  return [name for name in ("iperf3",) if not shutil.which(name)]


@contextlib.contextmanager
def tunnel(programs, net, share_options=(), connect_options=(), place=0):
  """iperf3 listens behind a share; its control connection and its datagrams are two services.

  `place` is for several at once: their ports are 20 apart.
  """
  target, entrance = TARGET_PORT + 20 * place, ENTRANCE_PORT + 20 * place
  server = programs.start(
    "iperf3", net.server_namespace, [shutil.which("iperf3"), "-s", "-p", str(target)])
  try:
    services = [f"control=127.0.0.1:{target}", f"data=udp:127.0.0.1:{target}"]
    with programs.share(net.server_namespace, *services, *share_options) as (_, ticket):
      connect = programs.start(
        "connect", net.client_namespace,
        [programs.qtun, "connect", ticket,
         f"control={entrance}", f"data={entrance}", *connect_options])
      try:
        for _ in services:
          connect.read_line(15)
        yield entrance
      finally:
        connect.stop()
  finally:
    server.stop()


def run(net, mbit_per_second, seconds, downward):
  """One test with datagrams of 1200 bytes: how many were sent, lost, and dropped by the receiver.

  The last is what the kernel threw away because iperf3 did not read its socket in time.
  """
  before = _receive_buffer_errors(net)
  command = [
    "iperf3", "-c", "127.0.0.1", "-p", str(ENTRANCE_PORT), "-u", "-b", f"{mbit_per_second}M",
    "-l", "1200", "-t", str(seconds), "-w", RECEIVER_WINDOW, "-J"]
  done = subprocess.run(
    in_namespace(net.client_namespace, command + (["--reverse"] if downward else [])),
    stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds + 30)
  try:
    total = json.loads(done.stdout)["end"]["sum"]
  except (ValueError, KeyError) as failure:
    raise Broken(f"iperf3 says {done.stdout[-300:]} {done.stderr[-300:]}") from failure
  time.sleep(0.2)
  return {"sent": total["packets"], "lost": total["lost_packets"],
          "receiver_dropped": _receive_buffer_errors(net) - before}


def _receive_buffer_errors(net):
  count = 0
  for namespace in {net.client_namespace, net.server_namespace}:
    text = subprocess.run(
      in_namespace(namespace, ["cat", "/proc/net/snmp"]),
      capture_output=True, text=True, check=True).stdout
    names, values = re.findall(r"^Udp: (.*)$", text, re.MULTILINE)
    count += int(dict(zip(names.split(), values.split()))["RcvbufErrors"])
  return count
