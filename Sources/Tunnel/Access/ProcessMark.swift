internal import Glibc

/// A process, told apart from later ones that get its number: proc(5) has the time of its start.
public struct ProcessMark: Equatable, Sendable {
  /// Its number.
  public let number: Int32
  /// When it started, in clock ticks since the machine did.
  let start: UInt64

  init(number: Int32, start: UInt64) {
    self.number = number
    self.start = start
  }

  /// This one.
  public static var current: ProcessMark {
    let number = getpid()
    return ProcessMark(number: number, start: startTime(of: number) ?? 0)
  }

  /// Whether it still runs.
  public var isAlive: Bool {
    number > 0 && Self.startTime(of: number) == start
  }

  private static func startTime(of number: Int32) -> UInt64? {
    let raw = open("/proc/\(number)/stat", O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { return nil }
    defer { close(raw) }
    var bytes = [UInt8](repeating: 0, count: 1_024)
    let count = read(raw, &bytes, bytes.count)
    // The name stands in parentheses and may hold anything; what follows are numbers.
    guard count > 0, let end = bytes[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
    let fields = bytes[(end + 1)..<count].split(separator: 0x20)
    // The start is field 22, the first one here is field 3.
    guard fields.count > 19 else { return nil }
    return UInt64(String(decoding: fields[19], as: UTF8.self))
  }
}
