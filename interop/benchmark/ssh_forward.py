"""A yardstick: `ssh -L` to an sshd of its own, with keys made for the occasion."""

import contextlib
import os
import shutil
import subprocess
import time

from .process import Broken

PORT = 7022
READY_SECONDS = 10.0


def missing_programs():
  """What must be installed before the yardstick can be used."""
  return [name for name in ("ssh", "sshd", "ssh-keygen") if not program(name)]


def program(name):
  """sshd stands where an ordinary user's PATH does not look, and wants its whole path."""
  return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def ssh_forward(programs, network, entrance_port, service_port):
  """Forwards a port on the client side to the service on the server side."""
  directory = programs.fresh_path("ssh")
  os.mkdir(directory, 0o700)
  for name in ("host", "user"):
    subprocess.run(
      [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", f"{directory}/{name}"],
      check=True)
  # Debian's sshd insists on this directory, even for one that never uses it.
  os.makedirs("/run/sshd", exist_ok=True)
  options = {
    "Port": PORT, "ListenAddress": network.server_host, "HostKey": f"{directory}/host",
    "AuthorizedKeysFile": f"{directory}/user.pub", "PidFile": "none", "StrictModes": "no",
    "UsePAM": "no", "PermitRootLogin": "yes", "PasswordAuthentication": "no"}
  with open(f"{directory}/config", "w", encoding="ascii") as file:
    file.writelines(f"{name} {value}\n" for name, value in options.items())
  with contextlib.ExitStack() as stack:
    server = programs.start("sshd", network.server_namespace,
                            [program("sshd"), "-D", "-e", "-f", f"{directory}/config"])
    stack.callback(server.stop)
    deadline = time.monotonic() + READY_SECONDS
    while "listening" not in server.log_text():
      server.check_alive()
      if time.monotonic() > deadline:
        raise Broken("sshd does not listen")
      time.sleep(0.01)
    client = programs.start("ssh", network.client_namespace, [
      program("ssh"), "-F", "none", "-i", f"{directory}/user", "-p", str(PORT), "-N", "-v",
      "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={directory}/known",
      "-L", f"127.0.0.1:{entrance_port}:127.0.0.1:{service_port}", f"root@{network.server_host}"])
    stack.callback(client.stop)
    while "Entering interactive session" not in client.log_text():
      client.check_alive()
      if time.monotonic() > deadline:
        raise Broken("ssh does not connect")
      time.sleep(0.01)
    yield
