/// The command line of `qtun service`.
extension Grammar {
  /// For the user instead of the machine.
  static let serviceUser = Flag(
    "user", help: "a service of this user, that needs no root, instead of one of the machine")
  /// For images and tests.
  static let serviceRoot = Option(
    "root", "DIR", .path, default: "/", help: "put the files below this folder, as for an image")
  /// Allows a changed file to be lost.
  static let serviceForce = Flag(
    "force", short: "f", help: "overwrite a service file that was changed by hand")

  /// `qtun service ...`
  static let serviceCommands = [serviceInstall, serviceUninstall, serviceStatus]

  private static let serviceInstall = CommandSpec(
    name: "service install",
    summary: "have systemd run the relay of this machine",
    description: [
      "Writes a unit for systemd, and the relay's file of options if there is none, and prints their "
        + "names and what to do next. The relay runs as a user of its own, that nobody else is and "
        + "that may do nothing but listen. It is started again when it ends, unless its options are "
        + "wrong."
    ],
    arguments: [],
    options: [serviceUser.spec, relayConfig.spec, serviceRoot.spec, serviceForce.spec],
    examples: [
      ("qtun service install", "for the machine, as root"),
      ("qtun service install --user", "for this user"),
    ])

  private static let serviceUninstall = CommandSpec(
    name: "service uninstall",
    summary: "take the relay's service away again",
    description: ["Removes the unit. The relay's options, key and tokens stay."],
    arguments: [],
    options: [serviceUser.spec, serviceRoot.spec],
    examples: [("qtun service uninstall", "as root")])

  private static let serviceStatus = CommandSpec(
    name: "service status",
    summary: "tell whether the relay's service runs",
    description: [
      "Tells where the unit is, and what `systemctl status` says of it. Ends with 3 if there is none."
    ],
    arguments: [],
    options: [serviceUser.spec, serviceRoot.spec],
    examples: [("qtun service status", "look at it")])
}
