internal import Glibc
internal import Tunnel

/// `qtun service install|uninstall|status`: a relay that systemd runs.
struct ServiceCommand {
  let settings: ServiceSettings

  func run(_ global: GlobalSettings, console: Console) throws(Failure) -> ExitCode {
    switch settings.action {
    case .install(let replaces): try install(replaces: replaces, global, console)
    case .uninstall: try uninstall(global, console)
    case .status: return try status(global)
    }
    return .ok
  }

  // MARK: Install

  private func install(
    replaces: Bool, _ global: GlobalSettings, _ console: Console
  ) throws(Failure) {
    let isOfUser = settings.userFolder != nil
    let program = try program()
    if !isOfUser, settings.root.isEmpty,
      ["/home/", "/root/", "/tmp/"].contains(where: { program.hasPrefix($0) })
    {
      throw Failure(
        .configuration, "the service cannot see \(program): homes and /tmp are hidden from it",
        fix: "install qtun in /usr/local/bin, and use that one")
    }
    let text = Array(
      ServiceUnit(program: program, configFile: settings.configFile, isOfUser: isOfUser)
        .text.utf8)
    let path = settings.unitFile
    if !replaces, let there = try existing(path), there != text {
      throw Failure(
        .configuration, "there is another \(path), perhaps changed by hand",
        fix: "remove it, or overwrite it with --force")
    }
    try write(text, to: path, global)
    let config = settings.root + settings.configFile
    if try existing(config) == nil {
      try write(Array(ServiceUnit.configText.utf8), to: config, global)
    }
    guard !global.isQuiet, global.logFormat == .text else { return }
    let (rights, flag) = isOfUser ? ("", " --user") : ("sudo ", "")
    let key = isOfUser ? "" : " --identity /var/lib/\(ServiceSettings.name)/relay"
    console.printLine(
      """
      next, let somebody in and start it:

        \(rights)qtun token add\(key)
        \(rights)systemctl\(flag) daemon-reload
        \(rights)systemctl\(flag) enable --now \(ServiceSettings.name)

      """)
  }

  /// Where this program is.
  private func program() throws(Failure) -> String {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &bytes, bytes.count)
    let path = String(
      decoding: bytes.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // systemd would take a blank for the end, and % and $ for more.
    guard count > 0, path.utf8.allSatisfy({ $0 > 0x20 && !"%$\"'\\".utf8.contains($0) }) else {
      throw Failure(
        .configuration, "a service cannot name this program by its place \(path)",
        fix: "install qtun in /usr/local/bin, and use that one")
    }
    return path
  }

  private func existing(_ path: String) throws(Failure) -> [UInt8]? {
    do throws(AccessFileError) {
      return try PrivateFile.contents(path, sizeMax: 1 << 20, forbidden: 0)
    } catch .missing {
      return nil
    } catch {
      throw Failure(AccessProblem(.settings, path: path, error: error))
    }
  }

  private func write(
    _ bytes: [UInt8], to path: String, _ global: GlobalSettings
  ) throws(Failure) {
    do throws(AccessFileError) {
      try PrivateFile.writePublic(path, bytes: bytes)
    } catch .unwritable(let code) where code == EACCES || code == EPERM {
      throw Failure(
        .configuration, "cannot write \(path): \(Failure.systemMessage(code))",
        fix: "run it as root, or with --user for a service of your own")
    } catch {
      throw Failure(AccessProblem(.settings, path: path, error: error))
    }
    try tell("written", path, global)
  }

  // MARK: Uninstall

  private func uninstall(_ global: GlobalSettings, _ console: Console) throws(Failure) {
    let path = settings.unitFile
    guard unlink(path) == 0 else {
      throw Failure(
        .configuration, "cannot remove \(path): \(Failure.systemMessage(errno))",
        fix: errno == ENOENT ? "there is nothing to do" : "run it as root")
    }
    try tell("removed", path, global)
    guard !global.isQuiet, global.logFormat == .text else { return }
    let (rights, flag) = settings.userFolder != nil ? ("", " --user") : ("sudo ", "")
    console.printLine(
      "options, key and tokens stay; if the relay runs, stop it now:\n\n"
        + "  \(rights)systemctl\(flag) disable --now \(ServiceSettings.name)\n")
  }

  // MARK: Status

  private func status(_ global: GlobalSettings) throws(Failure) -> ExitCode {
    let path = settings.unitFile
    guard try existing(path) != nil else {
      throw Failure(
        .configuration, "there is no service: \(path) is missing",
        fix: "`qtun service install` makes it")
    }
    try tell("installed", path, global)
    guard settings.root.isEmpty, !global.isJSON else { return .ok }
    // What runs is for systemd to tell, in its own words and with its own status.
    var words = ["systemctl", "status", "--no-pager", ServiceSettings.name]
    if settings.userFolder != nil { words.insert("--user", at: 1) }
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    execvp("systemctl", &arguments)
    for argument in arguments { free(argument) }
    throw Failure(
      .internalError, "cannot run systemctl: \(Failure.systemMessage(errno))",
      fix: "look at the service manager of this machine by hand")
  }

  private func tell(_ event: String, _ path: String, _ global: GlobalSettings) throws(Failure) {
    guard global.isJSON else { return try StandardOutput.writeLine("\(event) \(path)") }
    var writer = JSONWriter()
    writer.object { result in
      result.member("event", event)
      result.member("file", path)
    }
    try StandardOutput.writeLine(writer.text)
  }
}
