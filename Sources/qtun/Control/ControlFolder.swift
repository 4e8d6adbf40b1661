import Glibc

/// The folder in which each run of `share`, `connect` and `pipe` has a socket, named by its process,
/// for `qtun status`.
///
/// Nobody else can look into it or put anything there: it is the user's own, with mode 0700.
enum ControlFolder {
  /// Where it may be, the best place first.
  static func candidates(environment: Environment) -> [String] {
    var folders: [String] = []
    if let path = environment["XDG_RUNTIME_DIR"] { folders.append("\(path)/qtun") }
    if let path = environment["XDG_STATE_HOME"] {
      folders.append("\(path)/qtun")
    } else if let home = environment["HOME"] {
      folders.append("\(home)/.local/state/qtun")
    }
    folders.append("/tmp/qtun-\(geteuid())")
    return folders.filter { $0.hasPrefix("/") && $0.utf8.count + nameBytesMax <= pathBytesMax }
  }

  /// The first folder that is private or can be made so; nil where there is none.
  static func make(environment: Environment) -> String? {
    candidates(environment: environment).first { folder in
      makeWithParents(folder)
      return isPrivate(folder)
    }
  }

  /// The sockets of all runs, in the order of their processes.
  static func sockets(environment: Environment) -> [(process: Int32, path: String)] {
    let folders = candidates(environment: environment).filter(isPrivate)
    let found = folders.flatMap { folder in
      names(in: folder).compactMap { name -> (process: Int32, path: String)? in
        guard name.hasSuffix(suffix), let process = Int32(name.dropLast(suffix.count)) else {
          return nil
        }
        return (process, "\(folder)/\(name)")
      }
    }
    return Array(found.sorted { $0.process < $1.process }.prefix(socketsMax))
  }

  /// The socket of this process.
  static func socket(in folder: String) -> String { "\(folder)/\(getpid())\(suffix)" }

  /// Whether a path names a folder, and no link to one, that only this user can use.
  static func isPrivate(_ path: String) -> Bool {
    var status = stat()
    guard lstat(path, &status) == 0 else { return false }
    return status.st_mode & S_IFMT == S_IFDIR && status.st_uid == geteuid()
      && status.st_mode & 0o077 == 0
  }

  private static func makeWithParents(_ folder: String) {
    var path = ""
    for part in folder.split(separator: "/") {
      path += "/\(part)"
      mkdir(path, 0o700)
    }
  }

  private static func names(in folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory), names.count < entriesMax {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        // SAFETY: the kernel ends the name with a zero within its array.
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      names.append(name)
    }
    return names
  }

  private static let suffix = ".sock"
  /// `/4294967295.sock`
  private static let nameBytesMax = 16
  /// What the address of a Unix socket holds (unix(7)).
  private static let pathBytesMax = 107
  private static let entriesMax = 4_096
  private static let socketsMax = 256
}
