"""Network namespaces for the measurements: two joined by veth, one alone, two joined by a bad link."""

import contextlib
import os
import subprocess

from .faulty_link import FaultyLink


class Network:
  """Where the two sides live, and the address at which the client side reaches the server side."""

  def __init__(self, name, server_namespace, client_namespace, server_host):
    self.name = name
    self.server_namespace = server_namespace
    self.client_namespace = client_namespace
    self.server_host = server_host

  def received_bytes(self):
    """What came in on the client side's link so far."""
    path = "/sys/class/net/bench/statistics/rx_bytes"
    return int(ip("netns", "exec", self.client_namespace, "cat", path))


def in_namespace(namespace, command):
  """The command line that runs a command there, under the same process id."""
  return ["ip", "netns", "exec", namespace, *command]


def ip(*arguments):
  """Runs `ip` and returns what it printed."""
  done = subprocess.run(
    ["ip", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
  if done.returncode != 0:
    raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
  return done.stdout


@contextlib.contextmanager
def namespaces(*suffixes):
  """Fresh namespaces that vanish at the end, with all devices in them."""
  names = [f"qtun-bench-{os.getpid()}-{suffix}" for suffix in suffixes]
  made = []
  try:
    for name in names:
      ip("netns", "add", name)
      made.append(name)
      ip("-n", name, "link", "set", "lo", "up")
      # Tens of thousands of short connections must not run out of ports.
      path = "/proc/sys/net/ipv4/ip_local_port_range"
      ip("netns", "exec", name, "sh", "-c", f"echo 1024 65535 > {path}")
    yield names
  finally:
    for name in made:
      with contextlib.suppress(OSError):
        ip("netns", "del", name)


@contextlib.contextmanager
def veth():
  """Two namespaces, one Ethernet cable with MTU 1500."""
  with namespaces("server", "client") as (server, client):
    ip("link", "add", "bench", "netns", server, "mtu", "1500",
       "type", "veth", "peer", "name", "bench", "netns", client, "mtu", "1500")
    set_up(server, "bench", "10.77.0.1/24")
    set_up(client, "bench", "10.77.0.2/24")
    yield Network("veth", server, client, "10.77.0.1")


@contextlib.contextmanager
def loopback():
  """One namespace that has nothing but its loopback device."""
  with namespaces("alone") as (alone,):
    yield Network("loopback", alone, alone, "127.0.0.1")


@contextlib.contextmanager
def faulty(seed):
  """Two namespaces and a link that loses, doubles, delays and damages packets."""
  names = [f"qtb{os.getpid()}{side}" for side in "ab"]
  with namespaces("server", "client") as (server, client), FaultyLink(names, seed) as link:
    for name, namespace, address in zip(names, (server, client), ("10.78.0.1/24", "10.78.0.2/24")):
      ip("link", "set", name, "netns", namespace, "name", "bench", "mtu", "1500")
      set_up(namespace, "bench", address)
    network = Network("faulty link", server, client, "10.78.0.1")
    network.link = link
    yield network


def set_up(namespace, device, address):
  """Gives a device its address and switches it on."""
  ip("-n", namespace, "addr", "add", address, "dev", device)
  ip("-n", namespace, "link", "set", device, "up")
