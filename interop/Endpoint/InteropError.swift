import QuicTransport

/// Why this run ends without success.
enum InteropError: Error, CustomStringConvertible {
  /// A test case that this endpoint does not know or does not support, and why.
  case unsupported(String)
  case failed(String)
  /// The connection ended before its work was done.
  case connectionLost(QuicError)

  var description: String {
    switch self {
    case .unsupported(let reason), .failed(let reason): reason
    case .connectionLost(let error): error.description
    }
  }

  /// What quic-interop-runner expects; 127 tells it to skip the case.
  var exitStatus: Int32 {
    switch self {
    case .unsupported: 127
    case .failed, .connectionLost: 1
    }
  }
}
