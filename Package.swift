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
    .executable(name: "qtun", targets: ["qtun"]),
    .executable(name: "qtun-load", targets: ["qtun-load"]),
    .executable(name: "qtun-link", targets: ["qtun-link"]),
    .library(name: "QuicTransport", targets: ["QuicTransport"]),
    .library(name: "HolePunch", targets: ["HolePunch"]),
    .library(name: "Tunnel", targets: ["Tunnel"]),
  ],
  targets: [
    // ngtcp2, GnuTLS, nghttp3 and libqrencode come from the system; `scripts/setup` installs them.
    .systemLibrary(name: "CQrencode"),
    .target(name: "CNgtcp2", cSettings: [.define("_GNU_SOURCE")]),
    .target(name: "QuicTransport", dependencies: ["CNgtcp2"], swiftSettings: settings),
    .target(name: "HolePunch", dependencies: ["QuicTransport"], swiftSettings: settings),
    .target(
      name: "Tunnel", dependencies: ["HolePunch", "QuicTransport"], swiftSettings: settings),
    .executableTarget(
      name: "qtun", dependencies: ["CQrencode", "HolePunch", "QuicTransport", "Tunnel"],
      swiftSettings: settings),
    // Drives the transport against foreign QUIC stacks; see interop/run-tests.
    .executableTarget(
      name: "qtun-interop", dependencies: ["QuicTransport"], path: "interop/Endpoint",
      swiftSettings: settings),
    // The library as another program uses it.
    .executableTarget(
      name: "qtun-example", dependencies: ["QuicTransport", "Tunnel"], path: "interop/Example",
      swiftSettings: settings),
    // The measuring instrument: plain sockets, none of our own modules.
    .executableTarget(name: "qtun-load", path: "interop/Load", swiftSettings: settings),
    // A peer with a valid ticket that misuses it; see interop/cli/abuse_cases.py.
    .executableTarget(
      name: "qtun-flood", dependencies: ["QuicTransport", "Tunnel"], path: "interop/Flood",
      swiftSettings: settings),
    // A thousand nodes of one relay, and honest newcomers; see interop/run-relay-load.
    .executableTarget(
      name: "qtun-crowd", dependencies: ["QuicTransport", "Tunnel"], path: "interop/Crowd",
      swiftSettings: settings),
    // A bad link between two network namespaces; see interop/README.md.
    .executableTarget(name: "qtun-link", path: "interop/Link", swiftSettings: settings),
    .testTarget(name: "QtunTests", dependencies: ["qtun"], swiftSettings: settings),

    // An event loop in virtual time and a network in memory; used by tests only.
    .target(
      name: "Simulation", dependencies: ["QuicTransport"], path: "Tests/Simulation",
      swiftSettings: settings),
    .testTarget(
      name: "SimulationTests", dependencies: ["QuicTransport", "Simulation"],
      swiftSettings: settings),
    .testTarget(
      name: "QuicTransportTests", dependencies: ["CNgtcp2", "QuicTransport", "Simulation"],
      exclude: ["Fixtures"], swiftSettings: settings),
    .testTarget(
      name: "TunnelTests", dependencies: ["HolePunch", "QuicTransport", "Simulation", "Tunnel"],
      swiftSettings: settings),
    .testTarget(
      name: "HolePunchTests", dependencies: ["HolePunch", "QuicTransport", "Simulation"],
      swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)

// Linked with libFuzzer, so it exists for interop/run-fuzz alone.
if Context.environment["QTUN_FUZZ"] != nil {
  package.targets.append(
    .executableTarget(
      name: "qtun-fuzz",
      dependencies: ["CNgtcp2", "HolePunch", "QuicTransport", "Simulation", "Tunnel"],
      path: "interop/Fuzz", exclude: ["Corpus"], swiftSettings: settings))
}
