"""A link between two TUN devices that treats packets badly, the same way for the same seed.

It stands in for the kernel's netem, which many kernels are built without.
"""

import contextlib
import fcntl
import heapq
import os
import random
import select
import struct
import threading
import time

LOSS, REORDERING, DUPLICATION, CORRUPTION = 0.05, 0.10, 0.05, 0.01
# A reordered packet arrives this much later, so several others overtake it.
REORDERING_SECONDS = (0.0005, 0.003)

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PACKET_BYTES_MAX = 65_536
# How many packets one device may hand over before the other one gets its turn.
BATCH_PACKETS_MAX = 64
UDP = 17


class FaultyLink:
  """Carries packets between two TUN devices on a thread of its own, from enter to exit."""

  def __init__(self, names, seed):
    self.counts = dict.fromkeys(("carried", "lost", "reordered", "doubled", "damaged"), 0)
    self._random = random.Random(seed)
    self._late = []
    self._sequence = 0
    self._devices = []
    self._names = names
    self._stop_reader, self._stop_writer = os.pipe()
    self._thread = threading.Thread(target=self._carry, daemon=True)

  def __enter__(self):
    try:
      for name in self._names:
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        self._devices.append(device)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    except OSError:
      self._close()
      raise
    self._thread.start()
    return self

  def __exit__(self, *_):
    os.write(self._stop_writer, b"x")
    self._thread.join()
    self._close()

  def _close(self):
    # The devices vanish with their descriptors.
    for descriptor in (*self._devices, self._stop_reader, self._stop_writer):
      os.close(descriptor)

  def _carry(self):
    peers = {self._devices[0]: self._devices[1], self._devices[1]: self._devices[0]}
    while True:
      wait = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
      ready, _, _ = select.select([self._stop_reader, *self._devices], [], [], wait)
      if self._stop_reader in ready:
        return
      for device in ready:
        self._receive(device, peers[device])
      now = time.monotonic()
      while self._late and self._late[0][0] <= now:
        _, _, peer, packet = heapq.heappop(self._late)
        deliver(peer, packet)

  def _receive(self, device, peer):
    for _ in range(BATCH_PACKETS_MAX):
      try:
        packet = os.read(device, PACKET_BYTES_MAX)
      except OSError:
        # Nothing more there, or the device is not up yet.
        return
      # Neighbour discovery and the like are left alone: the faults are for the tunnel.
      if packet[0] >> 4 != 4 or packet[9] != UDP:
        deliver(peer, packet)
        continue
      self._treat(packet, peer)

  def _treat(self, packet, peer):
    chance = self._random.random
    self.counts["carried"] += 1
    if chance() < LOSS:
      self.counts["lost"] += 1
      return
    if chance() < CORRUPTION:
      self.counts["damaged"] += 1
      packet = damaged(packet, self._random)
    copies = 1
    if chance() < DUPLICATION:
      self.counts["doubled"] += 1
      copies = 2
    if chance() < REORDERING:
      self.counts["reordered"] += 1
      due = time.monotonic() + self._random.uniform(*REORDERING_SECONDS)
      # The sequence number keeps the heap from comparing packets.
      self._sequence += 1
      heapq.heappush(self._late, (due, self._sequence, peer, packet))
      copies -= 1
    for _ in range(copies):
      deliver(peer, packet)


def deliver(device, packet):
  """Hands a packet to the kernel; like any link, this one drops what finds no room."""
  with contextlib.suppress(OSError):
    os.write(device, packet)


def damaged(packet, chance):
  """Flips one bit of the UDP payload and takes the checksum away, so that the packet arrives."""
  changed = bytearray(packet)
  payload = (packet[0] & 15) * 4 + 8
  if payload < len(changed):
    changed[chance.randrange(payload, len(changed))] ^= 1 << chance.randrange(8)
  # RFC 768: a checksum of zero means that the sender computed none.
  changed[payload - 2:payload] = b"\0\0"
  return bytes(changed)
