"""The yardstick: ngtcp2's own example server and client, one HTTP/3 download."""

import contextlib
import os
import shutil
import subprocess
import time

from .network import in_namespace
from .process import Broken

PORT = 7400
FETCH_SECONDS_MAX = 300.0


def missing_programs():
  """What must be installed before the yardstick can be used."""
  return [name for name in ("gtlsserver", "gtlsclient", "openssl") if not shutil.which(name)]


class ReferencePeer:
  """A running gtlsserver with one file in it."""

  def __init__(self, network, size):
    self._network = network
    self._size = size

  def fetch_rate(self):
    """Gbit/s of one download, handshake included; the link's counter shows that it happened."""
    host = self._network.server_host
    command = [
      "gtlsclient", "-q", "--no-quic-dump", "--no-http-dump", "--exit-on-all-streams-close",
      host, str(PORT), f"https://{host}:{PORT}/blob"]
    before = self._network.received_bytes()
    start = time.monotonic()
    done = subprocess.run(
      in_namespace(self._network.client_namespace, command), stdin=subprocess.DEVNULL,
      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
      timeout=FETCH_SECONDS_MAX)
    seconds = time.monotonic() - start
    # The client ends with code 0 even when the server had no such file.
    if done.returncode != 0 or self._network.received_bytes() - before < self._size:
      raise Broken(f"gtlsclient did not fetch the file: {done.stderr.strip()[-200:]}")
    return self._size * 8 / seconds / 1e9


@contextlib.contextmanager
def reference_peer(programs, network, size):
  """Serves a file of zeros of this size with a certificate made for the occasion."""
  directory = programs.fresh_path("www")
  os.mkdir(directory)
  key, certificate = programs.fresh_path("key.pem"), programs.fresh_path("certificate.pem")
  subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
     "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=bench"],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
  with open(os.path.join(directory, "blob"), "wb") as blob:
    blob.truncate(size)
  server = programs.start(
    "gtlsserver", network.server_namespace,
    ["gtlsserver", "-q", "-d", directory, network.server_host, str(PORT), key, certificate])
  try:
    # It says nothing when it listens; the first fetch retries its handshake until it does.
    time.sleep(0.3)
    server.check_alive()
    yield ReferencePeer(network, size)
  finally:
    server.stop()
