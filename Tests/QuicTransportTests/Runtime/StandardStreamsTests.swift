internal import CNgtcp2
import Glibc
import Testing

@testable import QuicTransport

@Suite("StandardStreams", .timeLimit(.minutes(1)))
struct StandardStreamsTests {
  private static let bytes = (0..<60_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }

  @Test("what comes through a pipe leaves through another, whose reader then sees the end")
  func pipes() throws {
    let source = try Pipe()
    let sink = try Pipe()
    defer { for end in [source.reader, sink.writer, sink.reader] { close(end) } }
    #expect(write(source.writer, Self.bytes, Self.bytes.count) == Self.bytes.count)
    close(source.writer)
    try Copier.run(input: source.reader, output: sink.writer)
    #expect(Self.readAll(sink.reader) == Self.bytes)
    // Others that hold the same pipe still find it blocking.
    #expect(fcntl(source.reader, F_GETFL) & O_NONBLOCK == 0)
  }

  @Test("files, which epoll does not take, are copied from where they stand")
  func files() throws {
    let input = try #require(tmpfile())
    let output = try #require(tmpfile())
    defer {
      fclose(input)
      fclose(output)
    }
    #expect(write(fileno(input), Self.bytes, Self.bytes.count) == Self.bytes.count)
    lseek(fileno(input), 100, SEEK_SET)
    let kept = dup(fileno(output))
    defer { close(kept) }
    try Copier.run(input: fileno(input), output: fileno(output))
    lseek(kept, 0, SEEK_SET)
    #expect(Self.readAll(kept) == Array(Self.bytes.dropFirst(100)))
  }

  @Test("a socket stays blocking for others, and its end is a half-close")
  func sockets() throws {
    var ends: [Int32] = [-1, -1]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    defer { for end in ends { close(end) } }
    #expect(write(ends[1], Self.bytes, 5_000) == 5_000)
    shutdown(ends[1], Int32(SHUT_WR))
    let output = dup(ends[0])
    defer { close(output) }
    try Copier.run(input: ends[0], output: output)
    #expect(Self.readAll(ends[1]) == Array(Self.bytes.prefix(5_000)))
    #expect(fcntl(ends[0], F_GETFL) & O_NONBLOCK == 0)
  }

  @Test("the null device is an end at once")
  func null() throws {
    let null = open("/dev/null", O_RDONLY)
    let sink = try Pipe()
    defer { for end in [null, sink.reader, sink.writer] { close(end) } }
    try Copier.run(input: null, output: sink.writer)
    #expect(Self.readAll(sink.reader).isEmpty)
  }

  @Test("a reader that is gone shows at the next write")
  func brokenPipe() throws {
    signal(SIGPIPE, SIG_IGN)
    let sink = try Pipe()
    close(sink.reader)
    let source = try Pipe()
    defer { for end in [sink.writer, source.reader, source.writer] { close(end) } }
    #expect(write(source.writer, [1], 1) == 1)
    #expect(throws: RuntimeError.system("copy", EPIPE)) {
      try Copier.run(input: source.reader, output: sink.writer)
    }
  }

  private static func readAll(_ descriptor: Int32) -> [UInt8] {
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while case let count = read(descriptor, &piece, piece.count), count > 0 {
      all += piece[..<count]
    }
    return all
  }
}

private struct Pipe {
  let reader: Int32
  let writer: Int32

  init() throws(RuntimeError) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw .system("pipe", errno) }
    (reader, writer) = (ends[0], ends[1])
  }
}

/// Copies input to output on a loop on this thread, until the end or a failure.
private final class Copier: StreamSocketHandler {
  private let loop: EpollLoop
  private let streams: StandardStreams
  private var pending: [UInt8] = []
  private var sawEnd = false
  private var isConnected = false
  private var failure: Int32?

  static func run(input: Int32, output: Int32) throws {
    let loop = try EpollLoop()
    let copier = try Copier(loop: loop, input: input, output: output)
    loop.run()
    #expect(copier.isConnected)
    if let failure = copier.failure { throw RuntimeError.system("copy", failure) }
  }

  private init(loop: EpollLoop, input: Int32, output: Int32) throws {
    self.loop = loop
    streams = try StandardStreams(loop: loop, input: input, output: output)
    streams.handler = self
  }

  func streamSocketConnected() {
    isConnected = true
  }

  func streamSocketFailed(_ code: Int32) {}

  func streamSocketReady(_ readiness: Readiness) {
    while !isOver {
      if pending.isEmpty {
        guard fill() else { return }
      } else {
        guard drain() else { return }
      }
    }
  }

  private var isOver: Bool { sawEnd || failure != nil }

  private func fill() -> Bool {
    let result = withUnsafeTemporaryAllocation(byteCount: 8_192, alignment: 1) { buffer in
      let result = streams.read(into: buffer)
      if case .moved(let count) = result { pending = Array(buffer[..<count]) }
      return result
    }
    switch result {
    case .moved: return true
    case .blocked: return false
    case .ended:
      sawEnd = true
      streams.finishWriting()
      end()
    case .failed(let code):
      failure = code
      end()
    }
    return false
  }

  private func drain() -> Bool {
    let result = pending.withUnsafeBytes { piece in
      withUnsafePointer(to: piece) { streams.write(UnsafeBufferPointer(start: $0, count: 1)) }
    }
    switch result {
    case .moved(let count): pending.removeFirst(count)
    case .blocked, .ended: return false
    case .failed(let code):
      failure = code
      end()
    }
    return true
  }

  private func end() {
    streams.close(resetting: false)
    loop.stop()
  }
}
