/// The command line of `qtun punch`, which is netpunch's with a few flags on top.
extension Grammar {
  static let punchPeer = Option(
    "peer", "a...z", .text, help: "be the peer of this letter; without it, be the control node")
  static let punchSecret = Option(
    "secret", "TEXT", .text,
    help: "what the three share; other users of the machine may see it before it is wiped from "
      + "the list of processes, so prefer --secret-file")
  static let punchSecretFile = Option(
    "secret-file", "FILE", .path,
    help: "file with the secret; takes precedence. One newline at its end does not count")
  static let punchSecretExact = Flag(
    "secret-file-exact",
    help: "the newline does count, as it does for netpunch itself reading the same file")
  static let punchLocal = Option(
    "local", "[HOST]:PORT", .text,
    help: "UDP address to listen on, or to send from, such as :7777")
  static let punchRemote = Option(
    "remote", "HOST:PORT", .text, help: "the control node; for peers only")
  static let punchTemplate = Option(
    "template", "TEMPLATE", .text,
    default: "a line with both addresses",
    help: "what to print when the hole is open: text with {{.LocalAddr}} {{.LocalIP}} "
      + "{{.LocalPort}} {{.RemoteAddr}} {{.RemoteIP}} {{.RemotePort}}")
  static let punchTemplateFile = Option(
    "template-file", "FILE", .path, help: "the same from a file; --template takes precedence")
  static let punchCommand = Option(
    "command", "PROGRAM", .text,
    help: "become this program when the hole is open; it can bind the same local port")
  static let punchHandover = Flag(
    "handover",
    help: "keep the socket open for the program, which finds its number in QTUN_PUNCH_FD; then "
      + "the program cannot bind the port a second time")
  static let punchArg = Option(
    "arg", "TEMPLATE", .text, isRepeatable: true, help: "one argument for the program")
  static let punchFields = Option(
    "fields", "TEMPLATE", .text, isRepeatable: true,
    help: "arguments for the program, split at spaces")
  static let punchRaw = Option(
    "raw", "TEXT", .text, isRepeatable: true, help: "one argument for the program, as it is")
  static let punchSilent = Flag("silent", help: "log nothing")
  static let punchRawLogging = Flag(
    "raw-logging", help: "log datagrams with their signatures")

  static let punch = CommandSpec(
    name: "punch",
    summary: "open a hole between two NATs, as netpunch does and with it",
    description: [
      "A control node with a public address and two peers, such as a and b, each with netpunch or "
        + "with this command. The peers learn each other's address from the control node and send "
        + "until both hear each other; then each prints a line, or becomes a program that uses "
        + "the hole. The tunnel of `qtun share` does not need it.",
      "Flags take one hyphen or two, and a value behind a space or an equals sign. The exit "
        + "status is netpunch's: 0 when the hole is open, 2 for a wrong flag, 1 for anything "
        + "else. What stands on the wire is signed, but neither encrypted nor safe from being sent "
        + "again by others: docs/netpunch.md says what that means.",
    ],
    arguments: [],
    options: [
      punchPeer.spec, punchSecret.spec, punchSecretFile.spec, punchSecretExact.spec,
      punchLocal.spec, punchRemote.spec, punchTemplate.spec, punchTemplateFile.spec,
      punchCommand.spec, punchArg.spec, punchFields.spec, punchRaw.spec, punchHandover.spec,
      punchSilent.spec, punchRawLogging.spec, json.spec, showHelp.spec, showVersion.spec,
    ],
    examples: [
      ("qtun punch -local :7777 -secret-file key", "be the control node"),
      (
        "qtun punch -peer a -local :1194 -remote host:7777 -secret-file key",
        "be a peer; the other one takes b"
      ),
    ],
    takesGlobalOptions: false)
}
