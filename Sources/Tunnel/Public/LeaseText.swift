internal import QuicTransport

/// A relay's leases as text, one a line: kind, port or name, `key` or `group`, who that is, the key,
/// the label, and the second since 1970 until which it is kept, 0 while it is in use.
///
///     qtun leases 1
///     tcp 10003 key nbswy3d... nbswy3d... 00c1f0ae11223344 0
enum LeaseText {
  private static let head = "qtun leases 1"

  /// - Parameter time: seconds since 1970, at `now`.
  static func encode(_ book: LeaseBook, time: UInt64, now: Instant) -> [UInt8] {
    var lines = [head]
    for (place, lease) in book.leases {
      let until = lease.keptUntil.map { time + UInt64(max(0, ($0 - now).seconds)) } ?? 0
      let holder =
        switch lease.holder {
        case .key(let key): "key \(key)"
        case .group(let group): "group \(Base32.encode(group))"
        }
      let what = place.kind.hasName ? place.name : String(place.port)
      lines.append(
        "\(place.kind.rawValue) \(what) \(holder) \(lease.key) \(Base32.encode(lease.label)) \(until)"
      )
    }
    // The order of a dictionary says nothing; the same leases make the same file.
    return Array((lines.prefix(1) + lines.dropFirst().sorted()).map { $0 + "\n" }.joined().utf8)
  }

  /// Reads it at the start of a relay. What was in use is kept from now on, and nothing for longer
  /// than that: the clock may have jumped meanwhile.
  static func decode(
    _ bytes: [UInt8], ports: ClosedRange<UInt16>?, kept: Duration, time: UInt64, now: Instant
  ) throws(AccessFileError) -> LeaseBook {
    var book = LeaseBook(ports: ports)
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    guard lines.first.map({ String(decoding: $0, as: UTF8.self) }) == head else {
      throw .malformed(line: 1)
    }
    for (index, line) in lines.enumerated().dropFirst() where !line.isEmpty {
      let words = line.split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
      guard let (place, holder, key, label, until) = read(words) else {
        throw .malformed(line: index + 1)
      }
      guard until == 0 || until > time else { continue }
      // A port that the operator has taken out of the range is nobody's.
      if !place.kind.hasName, ports?.contains(place.port) != true { continue }
      let seconds = until == 0 ? kept : min(kept, .seconds(Int64(clamping: until - time)))
      book.restore(
        LeaseBook.Lease(holder: holder, key: key, label: label, keptUntil: now + seconds),
        of: place)
    }
    return book
  }

  private static func read(
    _ words: [String]
  ) -> (LeaseBook.Place, LeaseBook.Holder, PublicKey, [UInt8], UInt64)? {
    guard words.count == 7, let kind = PublicKind(rawValue: words[0]),
      let key = PublicKey(text: words[4]), let label = Base32.decode(words[5]),
      label.count == PublicRequest.labelCount, let until = UInt64(words[6])
    else { return nil }
    var place = LeaseBook.Place(kind: kind, port: 0, name: "")
    if kind.hasName {
      guard PublicName.isLeasable(words[1]) else { return nil }
      place.name = words[1]
    } else {
      guard let port = UInt16(words[1]), port > 0 else { return nil }
      place.port = port
    }
    switch words[2] {
    case "key": return PublicKey(text: words[3]).map { (place, .key($0), key, label, until) }
    case "group":
      guard let group = Base32.decode(words[3]), group.count == PublicRequest.groupCount else {
        return nil
      }
      return (place, .group(group), key, label, until)
    default: return nil
    }
  }
}
