internal import QuicTransport

/// The user name and password that local programs must show to a proxy.
public struct ProxyCredentials: Sendable {
  private let user: SecretBytes
  private let password: SecretBytes
  /// base64 of `user:password` (RFC 7617 §2).
  private let basic: SecretBytes

  /// Reads `user:password`; nil where a side is empty or longer than 255 bytes (RFC 1929 §2).
  public init?(_ text: String) {
    let parts = Array(text.utf8).split(
      separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ (1...255).contains($0.count) }) else { return nil }
    user = SecretBytes(Array(parts[0]))
    password = SecretBytes(Array(parts[1]))
    basic = SecretBytes(Base64.characters(of: Array(text.utf8)))
  }

  func matches(user: ArraySlice<UInt8>, password: ArraySlice<UInt8>) -> Bool {
    // Both are compared, whatever the first says.
    let isUser = user.withUnsafeBytes(self.user.matches)
    let isPassword = password.withUnsafeBytes(self.password.matches)
    return isUser && isPassword
  }

  /// - Parameter value: of a Proxy-Authorization field (RFC 9110 §11.7.2).
  func matches(authorization value: ArraySlice<UInt8>) -> Bool {
    let parts = value.split(separator: 0x20, maxSplits: 1)
    guard parts.count == 2, String(decoding: parts[0], as: UTF8.self).lowercased() == "basic" else {
      return false
    }
    return parts[1].drop { $0 == 0x20 }.withUnsafeBytes(basic.matches)
  }
}
