"""What a relay's cores forward, beside coturn: packets for each second of processor time.

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


def ours(programs, namespace, seconds, is_datagrams, cores=1, flows=1):
  """Packets that `qtun relay` forwards for UDP flows of 400 Mbit/s in all, or TCP flows at full speed.

  Each flow is a session of its own. Also what each core had of the packets, from 0 to 1.
  """
  with contextlib.ExitStack() as stack:
    relay = programs.start("relay", namespace, [
      programs.qtun, "relay", "--open", "--listen", LISTEN, "--name", LISTEN, "--admin", ADMIN,
      "--cores", str(cores), *UNLIMITED])
    stack.callback(relay.stop)
    name = relay.read_line(15).strip()
    net = type("Place", (), {"server_namespace": namespace, "client_namespace": namespace})
    ports = [
      stack.enter_context(datagrams.tunnel(
        programs, net, ["--rendezvous", name, "--no-addresses"], ["--path", "relay"], place))
      for place in range(flows)]
    time.sleep(1)
    packets, used = _forwarded(namespace), relay.processor_seconds()
    rate = ["-u", "-b", f"{400 // flows}M", "-l", "1060"] if is_datagrams else []
    clients = [
      stack.enter_context(subprocess.Popen(
        in_namespace(namespace, ["iperf3", "-c", "127.0.0.1", "-p", str(port), "-t", str(seconds), *rate]),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
      for port in ports]
    for client in clients:
      said = client.communicate(timeout=seconds + 30)[0]
      if client.returncode != 0:
        raise Broken(f"iperf3 says {said[-600:]}")
    forwarded = [late - early for early, late in zip(packets, _forwarded(namespace))]
    total = sum(forwarded)
    return total / (relay.processor_seconds() - used), [part / total for part in forwarded]


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
  """Packets of each core."""
  text = subprocess.run(
    in_namespace(namespace, ["curl", "-s", f"http://{ADMIN}/metrics"]),
    capture_output=True, text=True, check=True).stdout
  return [int(count) for count in
          re.findall(r"^qtun_shard_packets_total\S* (\d+)$", text, re.MULTILINE)]
