import Glibc

/// The words of the command line as the system shows them to every user of the machine, in ps(1).
enum ProcessArguments {
  /// Overwrites every word that is `secret`, or an option with it (`--option=secret`), so that it can
  /// be seen at the start of the run only.
  static func hide(_ secret: String) {
    // Where the kernel put the words: what the process itself reads may be a copy.
    let arguments = CommandLine.unsafeArgv
    for index in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = arguments[index] else { continue }
      let word = String(cString: argument)
      guard word == secret || word.hasPrefix("--") && word.hasSuffix("=\(secret)") else { continue }
      let count = secret.utf8.count
      memset(argument + strlen(argument) - count, Int32(UInt8(ascii: "x")), count)
    }
  }
}
