import QuicTransport
import Simulation
import Testing

@testable import Tunnel

@Suite("Metrics of a relay")
struct RelayMetricsTests {
  @Test("every line is a comment or a value, and each family is there once, before it counts")
  func format() {
    let text = metrics(RelayTotals())
    var families: [Substring] = []
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 3)
      if words[0] == "#" {
        if words[1] == "TYPE" {
          families.append(words[2])
          #expect(["counter", "gauge"].contains(words[3]))
        }
        continue
      }
      #expect(words.count == 2 && Double(words[1]) != nil, "\(line)")
      #expect(words[0].hasPrefix(families[families.count - 1]), "\(line)")
    }
    #expect(Set(families).count == families.count && families.count >= 20)
    #expect(text.contains("qtun_refusals_total{reason=\"token_wrong\"} 0\n"))
  }

  @Test("sums are in their places")
  func values() {
    var totals = RelayTotals()
    totals.nodesOpen = 3
    totals.refusals = [.denied(.tokenRevoked): 4, .forwarding(.identityLimit): 5]
    totals.throttles = [.finds: 6]
    totals.forwarding.count(1_200, over: .webSocket)
    totals.forwarding.throttled[ForwardingRate.token.rawValue] = 7
    totals.forwarding.shards = [.init(), .init()]
    totals.forwarding.shards[1].sessionsOpen = 9
    totals.forwarding.shards[1].datagramsHandedOver = 10
    totals.isDraining = true
    totals.listening = PublicTotals()
    totals.listening?.visitorsRefused = 8
    let text = metrics(totals)
    for line in [
      "qtun_nodes 3", "qtun_refusals_total{reason=\"token_revoked\"} 4",
      "qtun_refusals_total{reason=\"sessions_of_identity\"} 5",
      "qtun_throttles_total{what=\"finds\"} 6",
      "qtun_forwarded_bytes_total{carrier=\"ws\"} 1200",
      "qtun_forwarded_packets_total{carrier=\"udp\"} 0",
      "qtun_dropped_packets_total{reason=\"token_rate\"} 7", "qtun_draining 1",
      "qtun_visitors_refused_total 8",
      "qtun_shard_sessions{shard=\"0\"} 0", "qtun_shard_sessions{shard=\"1\"} 9",
      "qtun_shard_handovers_total{shard=\"1\"} 10",
      "qtun_event_loop_lag_seconds 0.012000000", "qtun_uptime_seconds 61.000000000",
      "process_open_fds 5",
    ] {
      #expect(text.contains("\n\(line)\n"), "\(line)")
    }
  }

  @Test("labels of refusals differ, so that none counts for another")
  func labels() {
    let labels = RelayTotals.Refusal.allKinds.map(\.label)
    #expect(Set(labels).count == labels.count)
  }

  @Test("this process has memory, descriptors and a limit of them")
  func process() {
    let facts = ProcessFacts.read()
    #expect(facts.residentBytes > 1 << 20 && facts.openDescriptors >= 3)
    #expect(facts.descriptorsMax >= UInt64(facts.openDescriptors))
    #expect(facts.processorTime > .zero)
  }

  @Test("the lag is the longest of the last minute")
  func lag() {
    let loop = SimLoop()
    let lag = LoopLag(loop: loop)
    loop.run(for: .seconds(10))
    #expect(lag.longest == .zero)
    lag.stop()
  }

  private func metrics(_ totals: RelayTotals) -> String {
    RelayMetrics(
      totals: totals,
      process: ProcessFacts(
        residentBytes: 1, openDescriptors: 5, descriptorsMax: 9, processorTime: .milliseconds(5)),
      lag: .milliseconds(12), uptime: .seconds(61)
    ).text
  }
}
