import Glibc

/// A pipe for tests, closed when it goes out of use; small enough to fill.
final class Pipe {
  let readEnd: Int32
  private(set) var writeEnd: Int32

  init() throws {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw PipeError() }
    (readEnd, writeEnd) = (ends[0], ends[1])
    _ = fcntl(readEnd, F_SETFL, O_NONBLOCK)
  }

  deinit {
    close(readEnd)
    closeWriteEnd()
  }

  func closeWriteEnd() {
    if writeEnd >= 0 { close(writeEnd) }
    writeEnd = -1
  }

  func write(_ text: String) {
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { Glibc.write(writeEnd, $0.baseAddress, $0.count) }
  }

  /// Writes until the pipe takes no more, and gives back how much that was.
  func fill() -> Int {
    let flags = fcntl(writeEnd, F_GETFL)
    _ = fcntl(writeEnd, F_SETFL, flags | O_NONBLOCK)
    defer { _ = fcntl(writeEnd, F_SETFL, flags) }
    var total = 0
    let block = [UInt8](repeating: 0x2E, count: 4096)
    while true {
      let count = block.withUnsafeBytes { Glibc.write(writeEnd, $0.baseAddress, $0.count) }
      guard count > 0 else { return total }
      total += count
    }
  }

  func readAvailable() -> String {
    var result: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = block.withUnsafeMutableBytes { Glibc.read(readEnd, $0.baseAddress, $0.count) }
      guard count > 0 else { return String(decoding: result, as: UTF8.self) }
      result += block[..<count]
    }
  }

  private struct PipeError: Error {}
}
