"""What a relay's core forwards, beside coturn: packets for each second of processor time.

Each is alone with its load in a namespace whose loopback has an Ethernet's MTU. Processor time is what
compares: the load's own programs share the machine's cores, so packets a second would measure those.
"""

import contextlib
import os
import re
import shutil
import subprocess
import time

from . import datagrams
from .network import in_namespace, ip, namespaces
from .process import Broken

LISTEN = "127.0.0.1:7410"
ADMIN = "127.0.0.1:7411"
UNLIMITED = [word for name in ("rate", "rate-per-session", "rate-per-identity", "rate-per-address")
             for word in ("--limit", f"{name}=10gbit")]


def missing_programs():
  """What this measurement lacks here."""
  return [name for name in ("turnserver", "turnutils_peer", "turnutils_uclient", "iperf3", "curl")
          if not shutil.which(name)]


@contextlib.contextmanager
def place():
  """A namespace with nothing but a loopback of MTU 1500."""
  with namespaces("relay") as (namespace,):
    ip("-n", namespace, "link", "set", "lo", "mtu", "1500")
    yield namespace


def ours(programs, namespace, seconds, is_datagrams):
  """Packets that `qtun relay` forwards for a UDP flow of 400 Mbit/s, or a TCP flow at full speed."""
  with contextlib.ExitStack() as stack:
    relay = programs.start("relay", namespace, [
      programs.qtun, "relay", "--open", "--listen", LISTEN, "--name", LISTEN, "--admin", ADMIN,
      *UNLIMITED])
    stack.callback(relay.stop)
    name = relay.read_line(15).strip()
    net = type("Place", (), {"server_namespace": namespace, "client_namespace": namespace})
    stack.enter_context(datagrams.tunnel(
      programs, net, ["--rendezvous", name, "--no-addresses"], ["--path", "relay"]))
    time.sleep(1)
    packets, used = _forwarded(namespace), relay.processor_seconds()
    rate = ["-u", "-b", "400M", "-l", "1060"] if is_datagrams else []
    done = subprocess.run(
      in_namespace(namespace, [
        "iperf3", "-c", "127.0.0.1", "-p", str(datagrams.ENTRANCE_PORT), "-t", str(seconds), *rate]),
      stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds + 30)
    if done.returncode != 0:
      raise Broken(f"iperf3 says {done.stdout[-300:]} {done.stderr[-300:]}")
    return (_forwarded(namespace) - packets) / (relay.processor_seconds() - used)


def coturn(programs, namespace):
  """Packets of 1200 bytes that coturn forwards; each message goes to a peer and comes back."""
  with contextlib.ExitStack() as stack:
    server = programs.start("turnserver", namespace, [
      shutil.which("turnserver"), "-n", "--no-tls", "--no-dtls", "--listening-ip=127.0.0.1",
      "--relay-ip=127.0.0.1", "--allow-loopback-peers", "--no-auth", "--no-cli", "-m", "1",
      "--no-stdout-log", "--log-file", os.devnull, "--pidfile", programs.fresh_path("pid"),
      "--db", programs.fresh_path("db")])
    stack.callback(server.stop)
    peer = programs.start("turnutils_peer", namespace, [
      shutil.which("turnutils_peer"), "-L", "127.0.0.1", "-p", "7412"])
    stack.callback(peer.stop)
    time.sleep(1.5)
    used = server.processor_seconds()
    done = subprocess.run(
      in_namespace(namespace, [
        "turnutils_uclient", "-e", "127.0.0.1", "-r", "7412", "-n", "15000", "-m", "4", "-l",
        "1200", "-z", "0", "-c", "127.0.0.1"]),
      stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)
    counts = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", done.stdout)
    if not counts:
      raise Broken(f"turnutils_uclient says {done.stdout[-300:]} {done.stderr[-300:]}")
    return sum(map(int, counts[-1])) / (server.processor_seconds() - used)


def _forwarded(namespace):
  text = subprocess.run(
    in_namespace(namespace, ["curl", "-s", f"http://{ADMIN}/metrics"]),
    capture_output=True, text=True, check=True).stdout
  return sum(map(int, re.findall(r"^qtun_forwarded_packets_total\S* (\d+)$", text, re.MULTILINE)))
