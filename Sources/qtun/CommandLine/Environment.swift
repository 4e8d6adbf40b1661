import Glibc

/// The environment variables of a run, injected so that tests choose them.
struct Environment: Sendable {
  private let lookup: @Sendable (String) -> String?

  /// An environment of exactly these variables.
  init(_ variables: [String: String]) {
    lookup = { variables[$0] }
  }

  private init(lookup: @escaping @Sendable (String) -> String?) {
    self.lookup = lookup
  }

  /// The variables of this process; nothing in qtun changes them.
  static let process = Environment { name in
    guard let value = getenv(name) else { return nil }
    return String(cString: value)
  }

  /// The value of a variable; an empty one counts as not set, which is how shells clear them.
  subscript(name: String) -> String? {
    guard let value = lookup(name), !value.isEmpty else { return nil }
    return value
  }

  /// Where programs keep what has to survive a restart, by the same rules; nil without a home.
  var stateFolder: String? {
    if let base = self["XDG_STATE_HOME"], base.hasPrefix("/") { return "\(base)/qtun" }
    return self["HOME"].map { "\($0)/.local/state/qtun" }
  }

  /// Where our files are by the XDG base directory rules; nil without a home.
  var configurationFolder: String? {
    // The XDG rules tell programs to ignore a path that is not absolute.
    if let base = self["XDG_CONFIG_HOME"], base.hasPrefix("/") { return "\(base)/qtun" }
    return self["HOME"].map { "\($0)/.config/qtun" }
  }
}
