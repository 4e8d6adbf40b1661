/// What `qtun service` needs.
struct ServiceSettings: Equatable, Sendable {
  /// What to do.
  let action: Action
  /// The folder of the user's own files, for a service of the user; nil for one of the machine.
  let userFolder: String?
  /// What stands in front of every path that is written; empty but for images and tests.
  let root: String
  /// The relay's options; nil for the usual place.
  let config: String?

  /// One of the commands under `qtun service`.
  enum Action: Equatable, Sendable {
    case install(replaces: Bool)
    case uninstall
    case status
  }

  /// The file that systemd reads.
  var unitFile: String {
    let file = "/systemd/\(userFolder == nil ? "system" : "user")/\(Self.name).service"
    guard let userFolder else { return "\(root)/etc\(file)" }
    // The folder is ~/.config/qtun, or its like.
    return root
      + userFolder.split(separator: "/", omittingEmptySubsequences: false).dropLast()
      .joined(separator: "/") + file
  }

  /// The relay's options, as the service finds them.
  var configFile: String {
    config ?? userFolder.map { "\($0)/relay.conf" } ?? "/etc/qtun/relay.conf"
  }

  /// What systemd calls it.
  static let name = "qtun-relay"
}
