import Glibc
import QuicTransport
import Simulation
import Testing

@Suite("SimStreamSocket")
struct SimStreamSocketTests {
  private final class Handler: StreamSocketHandler {
    var readiness: [Readiness] = []

    func streamSocketConnected() {}
    func streamSocketFailed(_ code: Int32) {}
    func streamSocketReady(_ readiness: Readiness) { self.readiness.append(readiness) }
  }

  private let loop = SimLoop()
  private let here = Handler()
  private let there = Handler()

  private func pair(capacity: Int = 10) -> (SimStreamSocket, SimStreamSocket) {
    let (one, other) = SimStreamSocket.pair(
      loop: loop, capacity: capacity, latency: .milliseconds(1))
    one.handler = here
    other.handler = there
    return (one, other)
  }

  private func write(_ bytes: [UInt8], to socket: SimStreamSocket) -> StreamSocketResult {
    bytes.withUnsafeBytes { piece in
      withUnsafePointer(to: piece) { socket.write(UnsafeBufferPointer(start: $0, count: 1)) }
    }
  }

  private func read(_ count: Int, from socket: SimStreamSocket) -> (StreamSocketResult, [UInt8]) {
    var bytes = [UInt8](repeating: 0, count: count)
    let result = bytes.withUnsafeMutableBytes { socket.read(into: $0) }
    guard case .moved(let moved) = result else { return (result, []) }
    return (result, Array(bytes[..<moved]))
  }

  @Test("both ends hear that they are writable when they are registered")
  func registration() {
    let (one, other) = pair()
    loop.run(for: .milliseconds(5))
    #expect(here.readiness == [.writable] && there.readiness == [.writable])
    withExtendedLifetime((one, other)) {}
  }

  @Test("bytes arrive in order after the latency, and the reader is told")
  func bytes() {
    let (one, other) = pair()
    loop.run(for: .milliseconds(5))
    #expect(write([1, 2, 3], to: one) == .moved(3))
    #expect(read(5, from: other).0 == .blocked)
    loop.run(for: .milliseconds(1))
    #expect(there.readiness.last?.contains(.readable) == true)
    #expect(read(2, from: other).1 == [1, 2])
    #expect(read(2, from: other).1 == [3])
    #expect(read(2, from: other).0 == .blocked)
    #expect(one.bytesWritten == 3 && other.bytesRead == 3)
  }

  @Test("a full pipe takes no more until the reader made room, which the writer hears")
  func bound() {
    let (one, other) = pair(capacity: 4)
    #expect(write([1, 2, 3, 4, 5, 6], to: one) == .moved(4))
    #expect(write([5], to: one) == .blocked)
    loop.run(for: .milliseconds(5))
    let told = here.readiness.count
    #expect(read(1, from: other).1 == [1])
    loop.run(for: .milliseconds(1))
    #expect(here.readiness.count == told + 1)
    #expect(here.readiness.last?.contains(.writable) == true)
    #expect(write([5, 6], to: one) == .moved(1))
  }

  @Test("FIN follows the bytes, and the other direction goes on")
  func halfClose() {
    let (one, other) = pair()
    #expect(write([1], to: one) == .moved(1))
    one.finishWriting()
    loop.run(for: .milliseconds(5))
    #expect(there.readiness.last?.contains(.peerClosed) == true)
    #expect(read(5, from: other).1 == [1])
    #expect(read(5, from: other).0 == .ended)
    #expect(write([2], to: other) == .moved(1))
    loop.run(for: .milliseconds(5))
    #expect(read(5, from: one).1 == [2])
  }

  @Test("a reset takes unread bytes along and fails both directions")
  func reset() {
    let (one, other) = pair()
    #expect(write([1, 2], to: one) == .moved(2))
    loop.run(for: .milliseconds(5))
    one.close(resetting: true)
    #expect(one.isReleased)
    loop.run(for: .milliseconds(5))
    #expect(there.readiness.last?.contains(.error) == true)
    #expect(read(5, from: other).0 == .failed(ECONNRESET))
    #expect(write([3], to: other) == .failed(ECONNRESET))
  }

  @Test("closing with unread bytes resets; without, it ends the stream")
  func close() {
    let (one, other) = pair()
    #expect(write([1], to: other) == .moved(1))
    loop.run(for: .milliseconds(5))
    one.close(resetting: false)
    loop.run(for: .milliseconds(5))
    #expect(read(5, from: other).0 == .failed(ECONNRESET))

    let (three, four) = pair()
    three.close(resetting: false)
    loop.run(for: .milliseconds(5))
    #expect(read(5, from: four).0 == .ended)
    #expect(write([1], to: four) == .failed(EPIPE))
  }
}
