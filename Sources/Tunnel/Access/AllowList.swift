internal import Glibc
public import QuicTransport

/// The identities that a share lets in, from files and from the command line.
///
/// A file has one identity a line, as `qtun keygen` prints it, and perhaps words after it; empty
/// lines and those that begin with `#` say nothing.
struct AllowList {
  private let keys: Set<PublicKey>
  private var files: [File]

  private struct File {
    let path: String
    var stamp: FileStamp?
    var keys: Set<PublicKey>
    var problem: AccessFileError?
  }

  /// Reads the files for the first time.
  init(keys: [PublicKey], files: [String]) throws(AccessProblem) {
    self.keys = Set(keys)
    self.files = []
    for path in files {
      do throws(AccessFileError) {
        let (keys, stamp) = try Self.read(path)
        self.files.append(File(path: path, stamp: stamp, keys: keys))
      } catch {
        throw AccessProblem(.identities, path: path, error: error)
      }
    }
  }

  /// Reads those files again that changed.
  ///
  /// - Returns: what has become unusable since the last time.
  mutating func refresh() -> [AccessProblem] {
    var problems: [AccessProblem] = []
    for index in files.indices {
      let stamp = FileStamp(path: files[index].path)
      guard stamp != files[index].stamp else { continue }
      files[index].stamp = stamp
      do throws(AccessFileError) {
        (files[index].keys, files[index].stamp) = try Self.read(files[index].path)
        files[index].problem = nil
      } catch {
        if files[index].problem != error {
          problems.append(AccessProblem(.identities, path: files[index].path, error: error))
        }
        files[index].problem = error
      }
    }
    return problems
  }

  /// Whether every file can be read; where not, what was read last stands in.
  var isUsable: Bool { files.allSatisfy { $0.problem == nil } }

  func contains(_ key: PublicKey) -> Bool {
    keys.contains(key) || files.contains { $0.keys.contains(key) }
  }

  // MARK: Reading

  private static func read(
    _ path: String
  ) throws(AccessFileError) -> (Set<PublicKey>, FileStamp?) {
    // Others may read it, but whoever may write it decides who comes in.
    let (bytes, stamp) = try PrivateFile.read(path, sizeMax: sizeMax, forbidden: 0o022)
    return (try parse(bytes), stamp)
  }

  /// The identities in the text of a file.
  static func parse(_ bytes: [UInt8]) throws(AccessFileError) -> Set<PublicKey> {
    var keys: Set<PublicKey> = []
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      let words = line.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }
      guard let word = words.first, word.first != UInt8(ascii: "#") else { continue }
      guard let key = PublicKey(text: String(decoding: word, as: UTF8.self)) else {
        throw .malformed(line: index + 1)
      }
      keys.insert(key)
    }
    return keys
  }

  /// Some ten thousand identities with comments.
  private static let sizeMax = 1 << 20
}

/// A file that says who may come in, and what is wrong with it.
public struct AccessProblem: Error, Equatable, Sendable {
  /// What stands in the file.
  public let content: Content
  /// The file.
  public let path: String
  /// What is wrong.
  public let error: AccessFileError

  /// The kinds of such files.
  public enum Content: Sendable {
    /// The list of tickets with limits, which `qtun` itself writes.
    case tickets
    /// The list of a relay's tokens, which `qtun` itself writes.
    case tokens
    /// Identities, which people write.
    case identities
    /// Options, which people write.
    case settings
  }

  /// All of it.
  public init(_ content: Content, path: String, error: AccessFileError) {
    self.content = content
    self.path = path
    self.error = error
  }
}

extension PublicKey {
  /// Reads the form that `description` writes; nil for everything else.
  public init?(text: String) {
    guard let bytes = Base32.decode(text) else { return nil }
    self.init(bytes)
  }
}
