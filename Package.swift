// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "qtun",
  products: [
    .library(name: "QuicTransport", targets: ["QuicTransport"]),
  ],
  targets: [
    // ngtcp2, GnuTLS and nghttp3 come from the system; `scripts/setup` installs them.
    .target(name: "CNgtcp2", cSettings: [.define("_GNU_SOURCE")]),
    .target(name: "QuicTransport", dependencies: ["CNgtcp2"], swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)
