/// Files next to the tests. The certificates were made once and last until 2120.
enum Fixture {
  /// The path of a file in `Fixtures`.
  static func path(_ name: String, from file: StaticString = #filePath) -> String {
    packageRoot(from: file) + "Tests/QuicTransportTests/Fixtures/" + name
  }

  /// The package's folder, with a slash at its end.
  static func packageRoot(from file: StaticString = #filePath) -> String {
    // This file stands in Tests/QuicTransportTests/Support.
    file.description.split(separator: "/", omittingEmptySubsequences: false).dropLast(4)
      .joined(separator: "/") + "/"
  }
}
