internal import CNgtcp2
import Simulation

@testable import QuicTransport

extension FuzzTarget {
  /// What reaches QUIC, before and after there is a connection.
  static let transport = [
    FuzzTarget(name: "datagrams", family: .routing, run: datagrams),
    FuzzTarget(name: "crypto-guard", family: .guards, run: cryptoGuard),
    FuzzTarget(name: "stop-sending", family: .guards, run: stopSending),
    FuzzTarget(name: "connection", family: .connection, run: connection),
  ]

  /// Datagrams of strangers at an endpoint with nothing open. Answers are no longer than three times
  /// what came (RFC 9000 §8.1), and none of it makes a connection last.
  private static func datagrams(_ bytes: UnsafeRawBufferPointer) {
    guard let world = try? FuzzWorld() else { return require(false, "no world") }
    defer { world.end() }
    var input = FuzzInput(bytes)
    var received = 0
    while !input.isEmpty {
      let datagram = input.piece()
      received += datagram.count
      world.throwAtServer(datagram)
    }
    world.loop.run(for: .seconds(1))
    require(world.sentByServer <= 3 * received, "an answer is larger than it may be")
  }

  private static func cryptoGuard(_ bytes: UnsafeRawBufferPointer) {
    var input = FuzzInput(bytes)
    let step = 1 + Int(input.byte())
    let stream = input.remainder()
    var whole = CryptoGuard(isServer: false)
    var pieces = CryptoGuard(isServer: false)
    let expected = stream.withUnsafeBytes {
      whole.judge(level: NGTCP2_ENCRYPTION_LEVEL_1RTT, offset: 0, bytes: $0)
    }
    var verdict = CryptoGuard.Verdict.accept
    for start in stride(from: 0, to: stream.count, by: step) where verdict == .accept {
      verdict = stream[start..<min(start + step, stream.count)].withUnsafeBytes {
        pieces.judge(level: NGTCP2_ENCRYPTION_LEVEL_1RTT, offset: UInt64(start), bytes: $0)
      }
    }
    require(verdict == expected, "pieces change the verdict")
  }

  private static func stopSending(_ bytes: UnsafeRawBufferPointer) {
    var found = 0
    _ = FrameScanner.scan(bytes) { _, _ in found += 1 }
    require(found <= bytes.count / 3, "more frames than bytes for them")
  }

  /// Two ends of a connection that do what the input says, on a network that does what it says.
  private static func connection(_ bytes: UnsafeRawBufferPointer) {
    guard let world = try? FuzzWorld() else { return require(false, "no world") }
    defer { world.end() }
    var script = ConnectionScript(world: world, input: FuzzInput(bytes))
    script.run()
  }
}
