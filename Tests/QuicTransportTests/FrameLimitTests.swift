import Simulation
import Testing

@testable import QuicTransport

@Suite("FrameLimit")
struct FrameLimitTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  private func tally(_ frame: [UInt8], count: Int) -> FrameTally {
    [[UInt8]](repeating: frame, count: count).flatMap { $0 }.withUnsafeBytes {
      FrameScanner.scan($0) { _, _ in }
    }
  }

  @Test(
    "frames about the connection are few",
    arguments: [
      [0x06, 0x00, 0x01, 5], [0x07, 0x01, 5], [0x1e], [0x19, 0x05],
      [0x18, 0x01, 0x00, 0x02, 5, 5] + [UInt8](repeating: 5, count: 16),
      [0x1a] + [UInt8](repeating: 5, count: 8), [0x1b] + [UInt8](repeating: 5, count: 8),
    ] as [[UInt8]])
  func controls(_ frame: [UInt8]) {
    var limit = FrameLimit(now: start)
    limit.note(tally(frame, count: 2_000), now: start)
    #expect(!limit.isExceeded)
    limit.note(tally(frame, count: 100), now: start + .seconds(1))
    #expect(!limit.isExceeded)
    limit.note(tally(frame, count: 1), now: start + .seconds(1))
    #expect(limit.isExceeded)
  }

  @Test("more PINGs are taken than those, and of what moves data any number")
  func others() {
    var limit = FrameLimit(now: start)
    limit.note(tally([0x01], count: 40_000), now: start)
    #expect(!limit.isExceeded)
    for frame in [[0x00], [0x10, 5], [0x11, 4, 5], [0x14, 5], [0x0a, 4, 1, 5], [0x31, 1, 5]] {
      limit.note(tally(frame.map(UInt8.init), count: 100_000), now: start)
    }
    #expect(!limit.isExceeded)
    limit.note(tally([0x01], count: 1), now: start)
    #expect(limit.isExceeded)
  }

  /// STREAM frames of one byte, with a gap before each.
  private static let crumb: [UInt8] = [0x0e, 0x04, 0x40, 0x41, 0x01, 5]

  @Test("crumbs behind gaps are bounded, and those that are delivered are not")
  func crumbs() {
    #expect(tally(Self.crumb, count: 100).crumbs == 100)
    #expect(tally([0x0c, 0x04, 0x41], count: 1).crumbs == 1)
    let large = [0x0a, 0x04, 0x40, 0x80] + [UInt8](repeating: 5, count: 128)
    #expect(tally(large, count: 10).crumbs == 0)
    var limit = FrameLimit(now: start)
    for _ in 0..<10_000 {
      limit.note(tally(Self.crumb, count: 100), now: start)
      for _ in 0..<100 { limit.notePiece() }
      limit.endDatagram(now: start)
    }
    #expect(!limit.isExceeded)
    for _ in 0..<1_000 {
      limit.note(tally(Self.crumb, count: 100), now: start)
      limit.endDatagram(now: start)
    }
    #expect(!limit.isExceeded)
    limit.note(tally(Self.crumb, count: 1), now: start)
    limit.endDatagram(now: start)
    #expect(limit.isExceeded)
  }

  @Test("work is counted by the frames, and padding is none")
  func work() {
    #expect(tally([0x00], count: 60_000).work == 0)
    #expect(tally([0x1a] + [UInt8](repeating: 5, count: 8), count: 100).work == 100)
    #expect(tally([0x0a, 0x04, 0x01, 5], count: 100).work == 400)
    #expect(tally([0x31, 0x01, 5], count: 10).work == 40)
  }

  @Test("full packets of one stream or two cost no budget, small packets and many frames do")
  func budget() {
    var budget = WorkBudget()
    var allowed: [Bool] = []
    allowed.append(budget.allows(in: 1))
    for _ in 0..<100_000 {
      budget.chargeDatagram(byteCount: 1_200)
      budget.chargeFrames(10, byteCount: 1_170)
    }
    #expect(budget.spent == 0)
    for _ in 0..<90 { budget.chargeDatagram(byteCount: 40) }
    allowed.append(budget.allows(in: 1))
    allowed.append(budget.allows(in: 2))
    #expect(budget.spent == 0)
    budget.chargeFrames(2_000, byteCount: 1_170)
    allowed.append(budget.allows(in: 2))
    allowed.append(budget.allows(in: 3))
    for _ in 0..<25 { budget.chargeStream() }
    allowed.append(budget.allows(in: 3))
    #expect(allowed == [true, false, true, false, true, false])
  }

  @Test("a peer that sends too many is told so, and closed")
  func closes() throws {
    let world = try World()
    let (client, server) = try world.connect()
    let frames = [[UInt8]](
      repeating: [0x1a] + [UInt8](repeating: 5, count: 8), count: 2_100
    ).flatMap { $0 }
    // As if the next packet were the last of so many.
    frames.withUnsafeBytes { server.connection?.noteFrames($0) }
    try client.connection?.sendDatagram([1])
    world.wait(.seconds(1)) { client.isClosed && server.isClosed }
    #expect(
      server.error
        == .transport(code: 0x0a, isRemote: false, reason: "too many frames of no use"))
    guard case .transport(code: 0x0a, isRemote: true, _)? = client.error else {
      Issue.record("the client heard \(String(describing: client.error))")
      return
    }
  }
}
