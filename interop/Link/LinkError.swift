import Glibc

/// Why the link cannot run or does not do what a line asks for.
enum LinkError: Error, CustomStringConvertible {
  /// The command line or a line on stdin cannot be understood.
  case usage(String)
  /// A system call failed.
  case system(call: String, code: Int32)

  /// The sentence for people.
  var description: String {
    switch self {
    case .usage(let complaint): complaint
    case .system(let call, let code): "\(call): \(String(cString: strerror(code)))"
    }
  }

  /// The error that `errno` names now.
  static func current(_ call: String) -> LinkError { .system(call: call, code: errno) }
}
