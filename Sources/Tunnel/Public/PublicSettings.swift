public import QuicTransport

/// Where a relay listens on behalf of its nodes. Who may have it listen is for `RelayAccess`.
public struct PublicSettings: Sendable {
  /// The TCP and UDP ports that it gives out; nil for none.
  public var ports: ClosedRange<UInt16>?
  /// The TCP port that HTTP shares have in common; nil for none.
  public var http: SocketAddress?
  /// The TCP port that TLS shares have in common; nil for none.
  public var tls: SocketAddress?
  /// The certificate that HTTP shares are reached with at the TLS port, by HTTPS; nil for none. The TLS of
  /// these visitors ends at the relay, which can then read what they send.
  public var certificate: CertificateFiles?
  /// The names that HTTP and TLS shares may have.
  public var names: NameRules
  /// What visitors shall call the relay; empty for what each node calls it.
  public var host: String
  /// The file that leases are kept in across restarts; nil for none.
  public var leaseFile: String?

  /// All of it; nothing has a default that changes behaviour.
  public init(
    ports: ClosedRange<UInt16>?, http: SocketAddress?, tls: SocketAddress?,
    certificate: CertificateFiles?, names: NameRules, host: String, leaseFile: String?
  ) {
    self.ports = ports
    self.http = http
    self.tls = tls
    self.certificate = certificate
    self.names = names
    self.host = host
    self.leaseFile = leaseFile
  }

  /// Opens the shared ports and reads the leases, for a relay that is about to run. Called on the loop.
  ///
  /// - Throws: `.leaseFile`, `.cannotBind`, `.certificate`.
  func open(
    at address: SocketAddress, limits: PublicLimits, core: RelayCore, loop: EpollLoop,
    onEvent: @escaping (RelayEvent) -> Void
  ) throws(TunnelError) -> LeaseFile? {
    // Before it is read: another relay may be about to write it.
    let lock = try lockLeases(onEvent)
    let listeners = PublicListeners(
      book: try loadLeases(limits: limits, time: WallClock.now(), now: loop.now),
      access: PublicAccess(names: names), limits: limits,
      sockets: PublicSockets(host: address, loop: loop), host: host, loop: loop, onEvent: onEvent)
    for (kind, address) in [(DoorKind.http, http), (.tls, tls)] {
      guard let address else { continue }
      do throws(RuntimeError) {
        try listeners.openDoor(kind, at: address)
      } catch {
        listeners.close()
        throw .cannotBind(address, error)
      }
    }
    if let certificate {
      do throws(QuicError) {
        try listeners.openHTTPS(with: certificate)
      } catch {
        listeners.close()
        throw .certificate(file: certificate.certificate, error)
      }
    }
    core.publicListeners = listeners
    guard let leaseFile else { return nil }
    let file = LeaseFile(
      loop: loop, lock: lock,
      write: { bytes throws(AccessFileError) in try PrivateFile.write(leaseFile, bytes: bytes) },
      onProblem: { onEvent(.leasesUnwritable($0)) })
    listeners.onLeases = { [weak file, weak listeners] in
      file?.save {
        guard let listeners else { return nil }
        return LeaseText.encode(listeners.book, time: WallClock.now(), now: listeners.loop.now)
      }
    }
    listeners.whenLeasesAreKept = { [weak file] action in
      if let file { file.whenSaved(action) } else { action() }
    }
    return file
  }

  /// Where no lock can be had at all, as on a full disk, the relay runs without one.
  private func lockLeases(
    _ onEvent: (RelayEvent) -> Void
  ) throws(TunnelError) -> FileLock? {
    guard let leaseFile else { return nil }
    do throws(AccessFileError) {
      return try LeaseFile.lock(leaseFile)
    } catch .busy {
      throw .leaseFile(path: leaseFile, .busy)
    } catch {
      onEvent(.leasesUnwritable(error))
      return nil
    }
  }

  private func loadLeases(
    limits: PublicLimits, time: UInt64, now: Instant
  ) throws(TunnelError) -> LeaseBook {
    guard let leaseFile else { return LeaseBook(ports: ports) }
    do throws(AccessFileError) {
      guard let bytes = try LeaseFile.read(leaseFile) else { return LeaseBook(ports: ports) }
      return try LeaseText.decode(
        bytes, ports: ports, kept: limits.leaseKept, time: time, now: now)
    } catch {
      throw .leaseFile(path: leaseFile, error)
    }
  }
}

/// Where a certificate is.
public struct CertificateFiles: Equatable, Sendable {
  /// In PEM, with those between it and its authority.
  public var certificate: String
  /// Its key, in PEM; may be in the same file.
  public var key: String

  /// A certificate and its key.
  public init(certificate: String, key: String) {
    self.certificate = certificate
    self.key = key
  }
}
