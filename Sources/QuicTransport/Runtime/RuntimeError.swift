internal import Glibc

/// What the operating system refused.
public enum RuntimeError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A system call failed: its name and `errno`.
  case system(SystemCall, Int32)

  /// `errno` of the refused call.
  public var code: Int32 {
    switch self {
    case .system(_, let code): code
    }
  }

  /// The call and the system's words for its `errno`.
  public var description: String {
    switch self {
    case .system(let call, let code): "\(call.name): \(String(cString: strerror(code)))"
    }
  }

  /// A failed call and its `errno`.
  public static func system(_ call: StaticString, _ code: Int32) -> RuntimeError {
    .system(SystemCall(name: call.description), code)
  }

  /// The name of a system call, for messages.
  public struct SystemCall: Equatable, Sendable {
    /// As in its manual page.
    public let name: String
  }
}
