/// What became of the wish that a relay listen publicly, or why it does so no more.
public enum PublicStatus: Equatable, Sendable {
  case listening
  /// The relay does not let this identity listen.
  case notAllowed
  /// Another key, or another group, holds the port or the name.
  case heldByAnother
  /// The port is not among those that the relay gives out.
  case outsideRange
  /// The relay has no listeners of this kind.
  case notOffered
  /// Every port of the relay is taken.
  case noneFree
  /// The identity, its address or the relay has as many as it may have.
  case tooMany
  /// Another program of the relay's machine has the port.
  case portInUse
  /// The relay does not give out this name.
  case nameNotAllowed
  /// The relay knows no such kind of listener.
  case unknownKind
  /// A later process of the same identity asked for the same.
  case replaced
  /// It was given back.
  case released
  /// A number of a later version.
  case other(UInt64)

  private static let numbered: [PublicStatus] = [
    .listening, .notAllowed, .heldByAnother, .outsideRange, .notOffered, .noneFree, .tooMany,
    .portInUse, .nameNotAllowed, .unknownKind, .replaced, .released,
  ]

  init(number: UInt64) {
    self = number < UInt64(Self.numbered.count) ? Self.numbered[Int(number)] : .other(number)
  }

  var number: UInt64 {
    if case .other(let number) = self { return number }
    return UInt64(Self.numbered.firstIndex(of: self) ?? 0)
  }

  /// Whether asking again later can help although nobody changes anything.
  var mayPass: Bool {
    switch self {
    case .heldByAnother, .noneFree, .tooMany, .portInUse: true
    case .listening, .notAllowed, .outsideRange, .notOffered, .nameNotAllowed, .unknownKind,
      .replaced, .released, .other:
      false
    }
  }
}
