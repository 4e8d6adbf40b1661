import Glibc

/// Files next to the tests. The certificates were made once and last until 2120.
enum Fixture {
  /// The path of a file in `Fixtures`.
  static func path(_ name: String) -> String {
    packageRoot + "Tests/QuicTransportTests/Fixtures/" + name
  }

  /// The package's folder, with a slash at its end.
  static let packageRoot: String = {
    // This file stands in Tests/QuicTransportTests/Support.
    let parts = "\(#filePath)".split(separator: "/", omittingEmptySubsequences: false)
    return parts.dropLast(4).joined(separator: "/") + "/"
  }()

  /// The contents of a file; nil if it cannot be read.
  static func bytes(at path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
      bytes += buffer[..<count]
    }
    return bytes
  }
}
