import Glibc
import Testing

/// Files of this repository, found from where this one is.
enum SourceFile {
  /// Where the file at `path` below the repository's root is.
  static func path(_ path: String) -> String {
    // Tests/TunnelTests/Support/SourceFile.swift
    let root = #filePath.split(separator: "/").dropLast(4)
    return "/" + root.joined(separator: "/") + "/" + path
  }

  /// The text of the file at `path` below the repository's root.
  static func read(_ path: String) throws -> String {
    let full = Self.path(path)
    let file = try #require(fopen(full, "r"), "no file at \(full)")
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      if count == 0 { break }
      bytes.append(contentsOf: buffer[..<count])
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
