/// Why a relay moves no datagrams between two nodes; the numbers are those of the wire.
public enum RelayRefusal: UInt8, Error {
  /// A reason of a later version.
  case other = 0
  /// It has as many sessions as it takes.
  case full = 1
  /// One of the nodes has as many as it may.
  case identityLimit = 2
  /// There are too many behind the address of one of the nodes.
  case addressLimit = 3
  /// Both nodes are at the same path.
  case samePath = 4
}
