/// A field line of HTTP/3, or a pseudo-header field, whose name begins with a colon (RFC 9114 §4.2).
public struct HTTP3Field: Equatable, Sendable {
  /// In lower case.
  public var name: String
  /// Any bytes but controls (RFC 9110 §5.5).
  public var value: [UInt8]

  /// A field from its parts.
  public init(_ name: String, _ value: [UInt8]) {
    self.name = name
    self.value = value
  }

  /// A field with a value in ASCII.
  public init(_ name: String, _ value: String) {
    self.init(name, Array(value.utf8))
  }

  /// The value, where it is text.
  public var text: String { String(decoding: value, as: UTF8.self) }
}
