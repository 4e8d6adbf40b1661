import Glibc

/// A fresh folder that is removed with everything in it when its last owner lets go.
final class TemporaryFolder {
  let path: String

  /// - Throws: `errno` as a `Failure`.
  init() throws {
    var template = Array("/tmp/qtun-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Failure(code: errno) }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  deinit {
    Self.removeAll(path)
  }

  /// Removes what is in a folder first; links are not followed.
  private static func removeAll(_ path: String) {
    if mode(path) & S_IFMT == S_IFDIR {
      for name in list(path) { removeAll("\(path)/\(name)") }
    }
    remove(path)
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  /// The names in a folder, sorted.
  static func list(_ path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Writes a file with these permission bits, whatever the umask.
  func write(_ bytes: [UInt8], to name: String, mode: mode_t) throws {
    let descriptor = open(file(name), O_WRONLY | O_CREAT | O_TRUNC, mode)
    guard descriptor >= 0 else { throw Failure(code: errno) }
    defer { close(descriptor) }
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count,
      fchmod(descriptor, mode) == 0
    else { throw Failure(code: errno) }
  }

  /// The type and permission bits of a file; 0 if there is none.
  static func mode(_ path: String) -> mode_t {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode : 0
  }

  struct Failure: Error {
    let code: Int32
  }
}
