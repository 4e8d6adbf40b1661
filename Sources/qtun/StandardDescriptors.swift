import Glibc

/// The three descriptors that every program expects to find open.
enum StandardDescriptors {
  /// Opens those that are closed on the null device.
  ///
  /// A service manager or `>&-` may leave them closed. The next socket would then get the number
  /// of standard error, and log lines would travel to a peer. `main` calls it before all else.
  static func openClosed() {
    // open(2) takes the lowest free number (POSIX), so the first above 2 shows that none is left.
    while true {
      let descriptor = open("/dev/null", O_RDWR)
      guard descriptor >= 0, descriptor <= STDERR_FILENO else {
        if descriptor >= 0 { close(descriptor) }
        return
      }
    }
  }
}
