import Glibc

/// A file by which the driver looks at the tunnel's processes in the middle of a measurement.
///
/// It appears with a report of the moment in it and the measurement stays as it is, flows open,
/// until the driver deletes it.
struct PauseFile {
  let path: String

  /// Creates the file in one step, so that the driver never reads half of it, and waits.
  func wait(contents: Report) throws(LoadError) {
    let draft = path + ".part"
    guard let file = fopen(draft, "w") else { throw .current("create \(draft)") }
    fputs(contents.json + "\n", file)
    fclose(file)
    guard rename(draft, path) == 0 else { throw .current("create \(path)") }
    let start = Clock.nanoseconds()
    while access(path, F_OK) == 0 {
      guard Clock.seconds(since: start) < Self.secondsMax else {
        unlink(path)
        throw .timeout("waiting until \(path) is deleted")
      }
      Clock.sleep(seconds: 0.02)
    }
  }

  /// A driver that died must not leave flows open for ever.
  private static let secondsMax = 300.0
}
