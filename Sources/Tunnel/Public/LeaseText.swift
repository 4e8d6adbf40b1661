internal import QuicTransport

/// A relay's leases as records (`RecordText`): kind, port or name, `key` or `group`, who that is, the
/// key, the label, and the second since 1970 until which it is kept, 0 while it is in use.
///
///     qtun-leases 1
///     tcp  10003  key  nbswy3d...  nbswy3d...  00c1f0ae11223344  0
///     end
enum LeaseText {
  private static let heading = "qtun-leases 1"

  /// - Parameter time: seconds since 1970, at `now`.
  static func encode(_ book: LeaseBook, time: UInt64, now: Instant) -> [UInt8] {
    var records: [[String]] = []
    for (place, lease) in book.leases {
      let until = lease.keptUntil.map { time + UInt64(max(0, ($0 - now).seconds)) } ?? 0
      let holder =
        switch lease.holder {
        case .key(let key): ["key", key.description]
        case .group(let group): ["group", Base32.encode(group)]
        }
      let what = place.kind.hasName ? place.name : String(place.port)
      records.append(
        [place.kind.rawValue, what] + holder
          + [lease.key.description, Base32.encode(lease.label), String(until)])
    }
    // The order of a dictionary says nothing; the same leases make the same file.
    return RecordText.bytes(
      heading: heading, records: records.sorted { $0.lexicographicallyPrecedes($1) })
  }

  /// Reads it at the start of a relay. What was in use is kept from now on, and nothing for longer
  /// than that: the clock may have jumped meanwhile.
  static func decode(
    _ bytes: [UInt8], ports: ClosedRange<UInt16>?, kept: Duration, time: UInt64, now: Instant
  ) throws(AccessFileError) -> LeaseBook {
    var book = LeaseBook(ports: ports)
    for (line, fields) in try RecordText.records(bytes, heading: heading) {
      guard let (place, holder, key, label, until) = read(fields) else {
        throw .malformed(line: line)
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
