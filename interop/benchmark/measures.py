"""One function for each bar; every function returns rows and never judges a bar by itself."""

import contextlib
import dataclasses
import statistics
import subprocess
import time

from . import datagrams, faulty_link, network, relaying, ssh_forward
from .process import Broken
from .reference_peer import missing_programs, reference_peer
from .tunnel import ENTRANCE_PORT

MIB = 1 << 20
ROUNDS = 3


@dataclasses.dataclass
class Sizes:
  """How much each measurement moves."""

  bulk_bytes: int = 1_000_000_000
  reference_bytes: int = 1 << 30
  exchanges: int = 5000
  short_flows: int = 10_000
  held_flows: int = 10_000
  stall_seconds: int = 5
  cancelled_flows: int = 10_000
  fresh_bytes: int = 200_000_000
  faulty_bytes: int = 100_000_000
  starts: int = 20
  datagram_seconds: int = 10


QUICK = Sizes(
  bulk_bytes=200_000_000, reference_bytes=200_000_000, exchanges=1000, short_flows=2000,
  held_flows=1000, stall_seconds=2, cancelled_flows=1000, fresh_bytes=100_000_000,
  faulty_bytes=5_000_000, starts=5, datagram_seconds=3)


@dataclasses.dataclass
class Row:
  """One line of the table; `passed` is None where there is nothing to compare with."""

  what: str
  bar: str
  measured: str
  passed: bool | None
  detail: str = ""
  figures: dict = dataclasses.field(default_factory=dict)


class Series:
  """Repeated figures: their median, and how far they spread."""

  def __init__(self):
    self.values = []

  def add(self, value):
    self.values.append(value)

  @property
  def median(self):
    return statistics.median(self.values)

  def __str__(self):
    digits = 2 if self.median < 100 else 0
    low, high = min(self.values), max(self.values)
    return f"{self.median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def version(programs, sizes):
  """How long `qtun version` takes, start of the process included."""
  times = Series()
  for _ in range(sizes.starts):
    start = time.perf_counter()
    done = subprocess.run(
      [programs.qtun, "version"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
      check=False)
    times.add((time.perf_counter() - start) * 1e3)
    if done.returncode != 0:
      raise Broken(f"qtun version ended with code {done.returncode}: {done.stderr.strip()}")
  return [Row("qtun version", "< 20 ms", f"{times} ms", times.median < 20,
              f"median of {sizes.starts}", {"milliseconds": times.values})]


def idle(programs, _):
  """Memory of a share that nobody has connected to."""
  with network.veth() as net, programs.share(net.server_namespace, "127.0.0.1:9") as (share, _):
    time.sleep(1)
    size = share.settled_resident_kib() * 1024
  return [Row("idle share, RSS", "< 15 MB", f"{size / 1e6:.1f} MB", size < 15e6, "VmRSS",
              {"resident_bytes": size})]


def bulk(programs, sizes):
  """Bulk rate over veth, beside the yardstick where that is installed."""
  return bulk_rows(programs, sizes, with_reference=True, with_loopback=False)


def loopback(programs, sizes):
  """Bulk rate on loopback, beside the one over veth."""
  return bulk_rows(programs, sizes, with_reference=False, with_loopback=True)


def bulk_and_loopback(programs, sizes):
  """All three in turn, so that they share the machine's moods."""
  return bulk_rows(programs, sizes, with_reference=True, with_loopback=True)


def bulk_rows(programs, sizes, with_reference, with_loopback):
  """Alternates between the contenders; each meets the same machine ROUNDS times."""
  missing = missing_programs() if with_reference else []
  veth, local, yardstick = Series(), Series(), Series()
  with contextlib.ExitStack() as stack:
    net = stack.enter_context(network.veth())
    tunnel = stack.enter_context(programs.tunnel(net))
    local_tunnel = reference = None
    if with_loopback:
      local_net = stack.enter_context(network.loopback())
      local_tunnel = stack.enter_context(programs.tunnel(local_net))
    if with_reference and not missing:
      reference = stack.enter_context(reference_peer(programs, net, sizes.reference_bytes))
    # Once unrecorded: the first fetch fills the page cache, the first transfer the windows.
    if reference:
      reference.fetch_rate()
    for warm in filter(None, (tunnel, local_tunnel)):
      warm.bulk_rate(sizes.fresh_bytes)
    before = tunnel.processor_seconds()
    for _ in range(ROUNDS):
      if reference:
        yardstick.add(reference.fetch_rate())
      veth.add(tunnel.bulk_rate(sizes.bulk_bytes))
      if local_tunnel:
        local.add(local_tunnel.bulk_rate(sizes.bulk_bytes))
    used = (tunnel.processor_seconds() - before) / (ROUNDS * sizes.bulk_bytes / 1e9)
    upward = tunnel.bulk_rate(sizes.bulk_bytes, "up")
  figures = {"down_gbit_per_second": veth.values, "up_gbit_per_second": upward,
             "processor_seconds_per_gigabyte": used}
  detail = f"upward {upward:.2f} Gbit/s; both processes use {used:.2f} CPU s per GB"
  rows = []
  if reference:
    ratio = veth.median / yardstick.median
    rows.append(Row("bulk over veth / gtls", ">= 0.6", f"{ratio:.2f}", ratio >= 0.6,
                    f"qtun {veth}, gtls {yardstick} Gbit/s; {detail}",
                    {**figures, "reference_gbit_per_second": yardstick.values, "ratio": ratio}))
  elif with_reference:
    rows.append(Row("bulk over veth / gtls", ">= 0.6", f"{veth} Gbit/s", None,
                    f"no yardstick without {', '.join(missing)}; {detail}", figures))
  if local_tunnel:
    ratio = local.median / veth.median
    rows.append(Row("bulk on loopback / veth", ">= 1.5", f"{ratio:.2f}", ratio >= 1.5,
                    f"loopback {local}, veth {veth} Gbit/s",
                    {"loopback_gbit_per_second": local.values,
                     "veth_gbit_per_second": veth.values, "ratio": ratio}))
  return rows


def carriers(programs, sizes):
  """UDP and TCP beside `ssh -L`, in turn, over MTU 1500."""
  missing = ssh_forward.missing_programs()
  rates, exchanges, used = {}, {}, {}
  with contextlib.ExitStack() as stack:
    net = stack.enter_context(network.veth())
    tunnels = {
      kind: stack.enter_context(programs.tunnel(net, port, ("--carrier", kind)))
      for kind, port in (("udp", ENTRANCE_PORT), ("tcp", ENTRANCE_PORT + 1))}
    some = tunnels["udp"]
    entrances = {kind: tunnel.entrance_port for kind, tunnel in tunnels.items()}
    if not missing:
      entrances["ssh -L"] = ENTRANCE_PORT + 2
      stack.enter_context(
        ssh_forward.ssh_forward(programs, net, entrances["ssh -L"], some.port))
    for port in entrances.values():
      some.load_at(port, "bulk", "--bytes", sizes.fresh_bytes)
    before = {kind: tunnel.processor_seconds() for kind, tunnel in tunnels.items()}
    for _ in range(ROUNDS):
      for kind, port in entrances.items():
        report = some.load_at(port, "bulk", "--bytes", sizes.bulk_bytes)
        rates.setdefault(kind, Series()).add(report["gbit_per_second"])
    for kind, tunnel in tunnels.items():
      used[kind] = (tunnel.processor_seconds() - before[kind]) / (ROUNDS * sizes.bulk_bytes / 1e9)
    for _ in range(ROUNDS):
      for kind, port in entrances.items():
        report = some.load_at(port, "latency", "--count", sizes.exchanges)
        exchanges.setdefault(kind, Series()).add(report["p50_us"])
  detail = "; ".join(
    f"{kind} {rates[kind]} Gbit/s, p50 {exchanges[kind].median:.0f} us"
    + (f", {used[kind]:.2f} CPU s per GB" if kind in used else "") for kind in entrances)
  figures = {kind: {"gbit_per_second": rates[kind].values, "p50_us": exchanges[kind].values}
             for kind in entrances}
  gain = rates["tcp"].median / rates["udp"].median
  rows = [Row("bulk over TCP / UDP carrier", "-", f"{gain:.2f}", None, detail, figures)]
  if missing:
    rows.append(Row("bulk over TCP carrier / ssh -L", ">= 1.0", "-", None,
                    f"no yardstick without {', '.join(missing)}"))
  else:
    ratio = rates["tcp"].median / rates["ssh -L"].median
    rows.append(Row("bulk over TCP carrier / ssh -L", ">= 1.0", f"{ratio:.2f}", ratio >= 1))
  return rows


def latency(programs, sizes):
  """What the idle tunnel adds to a small request and its response."""
  through, past = Series(), Series()
  with network.veth() as net, programs.tunnel(net) as tunnel:
    for _ in range(ROUNDS):
      past.add(tunnel.load_directly("latency", "--count", sizes.exchanges)["p50_us"])
      report = tunnel.load("latency", "--count", sizes.exchanges)
      through.add(report["p50_us"])
  added = through.median - past.median
  return [Row("added latency p50, 64 B", "< 150 us", f"{added:.0f} us", added < 150,
              f"tunnel {through}, direct {past} us; last p99 {report['p99_us']:.0f} us",
              {"tunnel_us": through.values, "direct_us": past.values})]


def udp(programs, sizes):
  """iperf3's datagrams of 1200 bytes at a rate below the tunnel's capacity."""
  missing, rate, bar = datagrams.missing_programs(), 500, "< 0.5 % lost"
  rows = []
  for make in (network.veth, network.loopback):
    what = f"UDP, {rate} Mbit/s, {make.__name__}"
    if missing:
      rows.append(Row(what, bar, "-", None, f"not possible without {', '.join(missing)}"))
      continue
    with make() as net, datagrams.tunnel(programs, net):
      counts = {name: datagrams.run(net, rate, sizes.datagram_seconds, name == "down")
                for name in ("up", "down")}
    shares = {name: 100 * count["lost"] / count["sent"] for name, count in counts.items()}
    text = ", ".join(f"{name} {share:.4f}" for name, share in shares.items())
    rows.append(Row(what, bar, f"{text} %", max(shares.values()) < 0.5, "; ".join(
      f"{name}: {count['lost']} of {count['sent']}, {count['receiver_dropped']} of them by the "
      "receiving program's socket" for name, count in counts.items()), {"counts": counts}))
  return rows


def relay(programs, sizes):
  """What a relay forwards for each second of its processor time, beside coturn."""
  what, bar = "relay / coturn, packets per CPU second", ">= 2.0"
  missing = relaying.missing_programs()
  if missing:
    return [Row(what, bar, "-", None, f"not possible without {', '.join(missing)}")]
  yardstick, flow, bulk, one, two, parts = (Series() for _ in range(6))
  with relaying.place() as namespace:
    for _ in range(ROUNDS):
      yardstick.add(relaying.coturn(programs, namespace))
      seconds = sizes.datagram_seconds // 2
      flow.add(relaying.ours(programs, namespace, seconds, True)[0])
      bulk.add(relaying.ours(programs, namespace, seconds, False)[0])
      one.add(relaying.ours(programs, namespace, seconds, True, cores=1, flows=2)[0])
      rate, shares = relaying.ours(programs, namespace, seconds, True, cores=2, flows=2)
      two.add(rate)
      parts.add(min(shares))
  ratio = flow.median / yardstick.median
  return [Row(what, bar, f"{ratio:.2f}", ratio >= 2,
              f"a UDP flow {flow}, bulk {bulk}, coturn {yardstick} packets",
              {"flow": flow.values, "bulk": bulk.values, "coturn": yardstick.values}),
          # The load's own programs have the same cores, so this is about the price of spreading.
          Row("relay on 2 cores / on 1, packets per CPU second", "both forward",
              f"{two.median / one.median:.2f}", parts.median > 0.3,
              f"two UDP flows: on two cores {two}, on one {one}; the lesser core has {parts} of them",
              {"two": two.values, "one": one.values, "lesser_part": parts.values})]


def churn(programs, sizes):
  """Short connections, 16 at a time."""
  rates, lost = Series(), 0
  with network.veth() as net, programs.tunnel(net) as tunnel:
    for _ in range(ROUNDS):
      report = tunnel.load("churn", "--count", sizes.short_flows, "--parallel", 16)
      rates.add(report["per_second"])
      lost += report["lost"]
  return [Row("connect + echo + close", ">= 3000 /s, none lost", f"{rates} /s, {lost} lost",
              rates.median >= 3000 and lost == 0,
              f"{ROUNDS} x {sizes.short_flows}, 16 at a time{loss_reason(report)}",
              {"per_second": rates.values, "lost": lost})]


def hold(programs, sizes):
  """Many flows at once, and the memory of both ends meanwhile."""
  sizes_kib = {}
  with network.veth() as net, programs.tunnel(net) as tunnel:

    def look(_):
      for process in (tunnel.share, tunnel.connect):
        sizes_kib[process.name] = process.settled_resident_kib()

    report = tunnel.load("hold", "--flows", sizes.held_flows, at_pause=look)
  text = ", ".join(f"{name} {kib / 1024:.0f}" for name, kib in sizes_kib.items())
  lost = report["lost"]
  return [
    Row(f"{sizes.held_flows} flows at once", "all echo right", f"{lost} lost", lost == 0,
        f"open {report['open_seconds']:.2f} s, echo {report['echo_seconds']:.2f} s"
        f"{loss_reason(report)}", {"report": report}),
    Row("RSS meanwhile", "< 200 MiB each", f"{text} MiB",
        max(sizes_kib.values()) < 200 * 1024, "VmRSS, settled", {"resident_kib": sizes_kib})]


def stall(programs, sizes):
  """Readers that stop: what is kept for them, and what their neighbours feel."""
  moments, kept = [], []
  with network.veth() as net, programs.tunnel(net) as tunnel:

    def look(report):
      moments.append(tunnel.share.resident_kib() + tunnel.connect.resident_kib())
      kept.extend(buffered_bytes(tunnel, flow) for flow in report.get("stopped", []))

    report = tunnel.load(
      "stall", "--active", 100, "--seconds", sizes.stall_seconds, at_pause=look)

  def phases(figure, digits):
    return ", ".join(
      f"{report[f'{figure}_{phase}']:.{digits}f}" for phase in ("alone", "beside", "after"))

  growth = moments[1] - moments[0]
  text = " and ".join(f"{count / 1024:.0f}" for count in kept)
  return [
    Row("buffered for a stopped reader", "< 1024 KiB", f"{text} KiB", max(kept) < MIB,
        "both processes, by byte count: reader that never reads, reader that stops after 1 MiB; "
        f"RSS of both together grew {growth} KiB",
        {"buffered_bytes": kept, "resident_growth_kib": growth}),
    Row("100 active flows beside it", ">= 0.80 of their rate", f"{report['ratio']:.2f}",
        report["ratio"] >= 0.8,
        f"without, beside, without again: {phases('gbit_per_second', 2)} Gbit/s; "
        f"slowest flow {phases('flow_min_mbit', 1)} Mbit/s; "
        "stopped flows then read on to their end",
        {"report": report})]


def buffered_bytes(tunnel, flow):
  """What the tunnel itself holds of a stopped flow, to the byte.

  The service knows how much its kernel accepted and the reader how much it read. What lies
  between them and not in one of the four kernel queues is in the two processes.
  """
  service, share = tunnel.port, flow["server_peer_port"]
  reader = flow["client_port"]
  in_kernel = (
    tunnel.share.kernel_queue(service, share)[0] + tunnel.share.kernel_queue(share, service)[1]
    + tunnel.connect.kernel_queue(ENTRANCE_PORT, reader)[0]
    + tunnel.connect.kernel_queue(reader, ENTRANCE_PORT)[1])
  return flow["accepted_bytes"] - flow["read_bytes"] - in_kernel


def cancel(programs, sizes):
  """Flows that break off: the rate of a fresh one and the memory must be as before."""
  before, after = Series(), Series()
  with network.veth() as net, programs.tunnel(net) as tunnel:
    processes = (tunnel.share, tunnel.connect)
    cold = [process.resident_kib() for process in processes]
    # Pools that grow with parallelism reach their size here, so what grows later is a leak.
    tunnel.load("cancel", "--flows", 200, "--parallel", 100, "--fresh-bytes", 0)
    for _ in range(ROUNDS):
      before.add(tunnel.bulk_rate(sizes.fresh_bytes))
    warm = [process.settled_resident_kib() for process in processes]
    report = tunnel.load(
      "cancel", "--flows", sizes.cancelled_flows, "--parallel", 100,
      "--fresh-bytes", sizes.fresh_bytes)
    after.add(report["fresh_gbit_per_second"])
    for _ in range(ROUNDS - 1):
      after.add(tunnel.bulk_rate(sizes.fresh_bytes))
    end = [process.settled_resident_kib() for process in processes]
  ratio = after.median / before.median
  growth = {process.name: e - w for process, w, e in zip(processes, warm, end)}
  text = ", ".join(f"{name} {kib:+d}" for name, kib in growth.items())
  first = ", ".join(
    f"{process.name} {w - c:+d}" for process, c, w in zip(processes, cold, warm))
  return [
    Row(f"fresh flow after {sizes.cancelled_flows} cancelled", ">= 0.9 of before", f"{ratio:.2f}",
        ratio >= 0.9 and report["lost"] == 0,
        f"before {before}, after {after} Gbit/s, first one {after.values[0]:.2f}; "
        f"{report['per_second']:.0f} cancelled /s, {report['lost']} lost{loss_reason(report)}",
        {"before": before.values, "after": after.values, "report": report}),
    Row("RSS growth by the cancelled", "<= 2048 KiB each", f"{text} KiB",
        max(growth.values()) <= 2048, f"settled, after a warm-up of 200 flows that cost {first} KiB",
        {"growth_kib": growth})]


def faults(programs, sizes):
  """A checked transfer in each direction over a link that mistreats packets."""
  seed = 1
  percent = (f"{faulty_link.LOSS:.0%} loss, {faulty_link.REORDERING:.0%} reordering, "
             f"{faulty_link.DUPLICATION:.0%} duplication, {faulty_link.CORRUPTION:.0%} corruption")
  rates = {}
  with network.faulty(seed) as net, programs.tunnel(net) as tunnel:
    for direction in ("down", "up"):
      rates[direction] = tunnel.bulk_rate(sizes.faulty_bytes, direction) * 1e3
    counts = dict(net.link.counts)
  if min(counts.values()) == 0:
    raise Broken(f"the faulty link had no fault: {counts}")
  text = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
  return [Row(f"{sizes.faulty_bytes // 10**6} MB over a faulty link", "no wrong byte",
              f"none; {text} Mbit/s", True, f"{percent}, seed {seed}: {counts}",
              {"mbit_per_second": rates, "counts": counts})]


def loss_reason(report):
  """Why the first flow was lost, if one was."""
  return f"; first loss: {report['first_loss']}" if "first_loss" in report else ""


# In the order of running; `bulk` and `loopback` run as one when both are wanted.
ALL = {"version": version, "idle": idle, "bulk": bulk, "loopback": loopback, "carriers": carriers,
       "latency": latency,
       "udp": udp, "relay": relay, "churn": churn, "hold": hold, "stall": stall, "cancel": cancel, "faults": faults}
