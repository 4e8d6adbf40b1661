internal import QuicTransport

extension LinkCore: RelayedSession {
  func relayRetires(_ road: NetworkPath) { openSession?.paths?.retire(road) }

  func isInUse(_ road: NetworkPath) -> Bool { openSession?.paths?.isInUse(road) == true }

  func length(of road: NetworkPath) -> Duration? { openSession?.paths?.length(of: road) }
}
