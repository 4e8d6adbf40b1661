internal import Glibc

/// The tickets of an identity: shares read it, `qtun ticket` writes it, and a share writes down who
/// used a ticket.
public typealias LedgerFile = RecordFile<Ledger>

/// A list that stands in a file beside the key file of an identity.
public protocol RecordList: Equatable, Sendable {
  /// An empty one.
  init()
  /// Reads the content of a file.
  init(text: [UInt8]) throws(AccessFileError)
  /// The content of the file.
  var text: [UInt8] { get }
  /// What the file's name has behind that of the key file.
  static var fileSuffix: String { get }
}

extension Ledger: RecordList {
  /// `identity.access` beside the key file `identity`.
  public static let fileSuffix = ".access"
}

/// The file of a list, shared by every process of an identity.
///
/// Each writer puts a new file in the old one's place, so they take turns by a lock on the identity's
/// file, which stays; readers need no lock. An empty list leaves no file behind.
public struct RecordFile<List: RecordList>: Sendable {
  /// Where it is.
  public let path: String
  private let lockPath: String

  /// The file that belongs to the identity in `identityFile`.
  public init(besideIdentity identityFile: String) {
    path = identityFile + List.fileSuffix
    lockPath = identityFile
  }

  /// Reads it; an empty list if there is none.
  public func loadOrEmpty() throws(AccessFileError) -> List {
    do throws(AccessFileError) {
      return try load().list
    } catch .missing {
      return List()
    }
  }

  /// Reads it, changes it and writes it, with no other process in between.
  ///
  /// - Parameter patience: how long to wait, blocking, for a process that does the same.
  public func update<Result>(
    patience: Duration, _ change: (inout List) throws(AccessFileError) -> Result
  ) throws(AccessFileError) -> Result {
    let lock = try lock(patience: patience)
    defer { withExtendedLifetime(lock) {} }
    var list = try loadOrEmpty()
    let before = list
    let result = try change(&list)
    guard list != before else { return result }
    guard list != List() else {
      guard unlink(path) == 0 else { throw .unwritable(errno) }
      return result
    }
    let text = list.text
    guard text.count <= Self.sizeMax else { throw .full }
    try PrivateFile.replace(path, with: text, adoptsOwner: true)
    return result
  }

  /// Reads it, with the stamp by which a change shows.
  func load() throws(AccessFileError) -> (list: List, stamp: FileStamp) {
    let (bytes, stamp) = try PrivateFile.read(path, sizeMax: Self.sizeMax, forbidden: 0o077)
    return (try List(text: bytes), stamp)
  }

  /// A few ten thousand records; a share reads all of it when it changes.
  private static var sizeMax: Int { 4 << 20 }

  // MARK: Lock

  private func lock(patience: Duration) throws(AccessFileError) -> FileLock {
    let raw = open(lockPath, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard raw >= 0 else { throw .unwritable(errno) }
    guard let lock = try FileLock(owning: raw, patience: patience) else { throw .busy }
    return lock
  }
}
