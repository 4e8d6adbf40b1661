"""Child processes that are watched from outside and always end."""

import os
import subprocess
import time

STOP_SECONDS = 5.0
SETTLE_SECONDS_MAX = 10.0


class Broken(Exception):
  """Something does not work, so there is no figure; a slow figure is not this."""


class Process:
  """A running program whose talk goes to a file; `command` may be wrapped by `ip netns exec`."""

  def __init__(self, name, command, log_path, environment=None):
    self.name = name
    self.log_path = log_path
    with open(log_path, "wb") as log:
      self._child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
        env={**os.environ, **(environment or {})})
    # `ip netns exec` replaces itself by the program, so this is the program's own id.
    self.pid = self._child.pid

  def read_line(self, seconds):
    """The next line of stdout, or Broken when none comes in time."""
    deadline = time.monotonic() + seconds
    pipe = self._child.stdout
    os.set_blocking(pipe.fileno(), False)
    line = b""
    while time.monotonic() < deadline:
      chunk = pipe.read(1)
      if chunk == b"\n":
        return line.decode()
      if chunk:
        line += chunk
        continue
      self.check_alive()
      time.sleep(0.005)
    raise Broken(f"{self.name} printed no line within {seconds:.0f} s{self.log_tail()}")

  def log_text(self):
    with open(self.log_path, encoding="utf-8", errors="replace") as log:
      return log.read()

  def log_tail(self):
    lines = [line for line in self.log_text().splitlines() if line.strip()]
    return "; it said: " + " | ".join(lines[-3:]) if lines else "; it said nothing"

  def check_alive(self):
    code = self._child.poll()
    if code is not None:
      raise Broken(f"{self.name} ended with code {code}{self.log_tail()}")

  def resident_kib(self):
    """VmRSS now."""
    self.check_alive()
    with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
      for line in status:
        if line.startswith("VmRSS:"):
          return int(line.split()[1])
    raise Broken(f"{self.name} has no VmRSS")

  def settled_resident_kib(self):
    """VmRSS once it has stayed within 64 KiB for a second."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    values = [self.resident_kib()]
    while time.monotonic() < deadline:
      time.sleep(0.25)
      values.append(self.resident_kib())
      if len(values) >= 5 and max(values[-5:]) - min(values[-5:]) <= 64:
        break
    return values[-1]

  def processor_seconds(self):
    """User and system time so far, of all threads."""
    with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
      fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

  def kernel_queue(self, local_port, remote_port):
    """(unacknowledged, unread) bytes of one TCP socket in this process's network namespace."""
    for table in ("tcp", "tcp6"):
      with open(f"/proc/{self.pid}/net/{table}", encoding="ascii") as lines:
        next(lines)
        for line in lines:
          fields = line.split()
          ports = tuple(int(address.rsplit(":", 1)[1], 16) for address in fields[1:3])
          if ports == (local_port, remote_port):
            send, receive = fields[4].split(":")
            return int(send, 16), int(receive, 16)
    raise Broken(f"no socket {local_port} to {remote_port} beside {self.name}")

  def stop(self):
    """Asks, waits, then insists; by process id only."""
    if self._child.poll() is None:
      self._child.terminate()
      try:
        self._child.wait(STOP_SECONDS)
      except subprocess.TimeoutExpired:
        self._child.kill()
        self._child.wait()
    self._child.stdout.close()
