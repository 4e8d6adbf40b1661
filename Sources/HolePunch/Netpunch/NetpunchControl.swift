public import QuicTransport

/// netpunch's control node: peers register, and each learns its partner's address.
///
/// On top of what netpunch's own does, it tells the partner who waits as soon as there is news, so
/// that nobody has to ask again (an unmodified peer sleeps 30 s between its questions, but takes an
/// answer at any time); it forgets slots; and it answers no stranger and no flood.
///
///     free --registration--> held --another address--> held, claimed
///     held --60 s without a registration--> free
///     held, claimed --1.2 s without one from the holder--> held by the claimant
///
/// Signatures do not say who sent a datagram, so a registration may be a copy from anywhere. One
/// from a second address gets no answer while the holder keeps registering, and a holder gets
/// hardly more than one answer a second.
public struct NetpunchControl: NetpunchMachine {
  private let signer: NetpunchSigner
  private var slots = [Slot?](repeating: nil, count: NetpunchSlot.count)
  private var tally = ForgeryTally()
  private var outputs: [NetpunchOutput] = []

  /// A slot without registrations is free after this time.
  public static let lease = Duration.seconds(60)
  /// A holder that still registers does so at least once in this time: once a second (our peers),
  /// or every 100 ms (netpunch's, before they fall asleep).
  static let hold = Duration.milliseconds(1_200)
  /// A holder gets five answers as fast as it asks, which is how netpunch's peers begin, and then
  /// one in this time; ours ask every second.
  static let answerGap = Duration.milliseconds(800)
  static let answersBurst = 4
  /// A partner that does not ask is told again this often while the other side asks.
  static let pushGap = Duration.seconds(1)

  /// A control node for peers that share a secret.
  public init(signer: NetpunchSigner) {
    self.signer = signer
  }

  /// When a claimant takes over or a slot becomes free.
  public var deadline: Instant {
    slots.lazy.compactMap { $0?.deadline }.min() ?? .distantFuture
  }

  /// Takes a datagram from a peer or a stranger.
  public mutating func receive(
    _ datagram: UnsafeRawBufferPointer, from source: SocketAddress, now: Instant
  ) {
    guard let payload = signer.open(datagram) else {
      if let report = tally.note(source, now: now) { outputs.append(.forged(report)) }
      return
    }
    guard source.isUnicast, case .register(let name) = NetpunchMessage(payload, reader: .control)
    else { return }
    outputs.append(.heard(.register(name), from: source))
    advance(now: now)
    register(name, at: source, now: now)
  }

  /// Lets claimants take over and forgets old registrations.
  public mutating func advance(now: Instant) {
    for index in slots.indices {
      guard let slot = slots[index], slot.deadline <= now else { continue }
      slots[index] = nil
      if let claim = slot.claim, let name = NetpunchSlot(index: index) {
        register(name, at: claim.source, now: now)
      }
    }
  }

  /// What to send and to tell.
  public mutating func takeOutputs() -> [NetpunchOutput] {
    defer { outputs.removeAll() }
    return outputs
  }
}

// MARK: - Registrations

extension NetpunchControl {
  private mutating func register(_ name: NetpunchSlot, at source: SocketAddress, now: Instant) {
    let isNews: Bool
    if var slot = slots[name.index], slot.holder == source {
      slot.seen = now
      // A claimant that is not heard of again was a copy, or has given up.
      if let claim = slot.claim, now - claim.seen > Self.hold { slot.claim = nil }
      slots[name.index] = slot
      isNews = false
    } else if let slot = slots[name.index], now - slot.seen < Self.hold {
      if slot.claim == nil {
        outputs.append(.contested(name, holder: slot.holder, claimant: source))
      }
      slots[name.index]?.claim = Claim(source: source, seen: now)
      return
    } else {
      slots[name.index] = Slot(holder: source, seen: now)
      isNews = true
    }
    // Who waits is told first. An address that comes behind the other side's ping has a netpunch begin
    // anew: its late ping then takes its partner's last word back, and they sleep for 30 s.
    let isPartnerDue = slots[name.partner.index].flatMap(\.told).map { now - $0 >= Self.pushGap }
    if isNews || isPartnerDue == true { tell(name.partner, now) }
    if mayAnswer(name, now) { tell(name, now) }
  }

  /// Takes one answer from a slot's allowance.
  private mutating func mayAnswer(_ name: NetpunchSlot, _ now: Instant) -> Bool {
    guard let slot = slots[name.index], slot.allowance <= now + Self.answerGap * Self.answersBurst
    else { return false }
    slots[name.index]?.allowance = max(slot.allowance, now) + Self.answerGap
    return true
  }

  /// Sends a slot its partner's address, if both are there.
  private mutating func tell(_ name: NetpunchSlot, _ now: Instant) {
    guard let slot = slots[name.index], let partner = slots[name.partner.index] else { return }
    slots[name.index]?.told = now
    let message = NetpunchMessage.info(name.partner, partner.holder)
    guard let datagram = signer.seal(message.payload) else {
      outputs.append(.unsealable(message))
      return
    }
    outputs.append(.send(datagram, message, to: slot.holder))
  }

  /// A registration for a slot that another address holds.
  private struct Claim {
    let source: SocketAddress
    let seen: Instant
  }

  /// One letter's registration.
  private struct Slot {
    /// Where the peer is.
    let holder: SocketAddress
    /// When it last registered.
    var seen: Instant
    /// When its answers of the past would have been due at `answerGap`, one after the other.
    var allowance = Instant(nanoseconds: 0)
    /// When it was last told its partner's address.
    var told: Instant?
    /// Who else registered for it, last.
    var claim: Claim?

    /// When the holder loses it.
    var deadline: Instant {
      seen + (claim == nil ? NetpunchControl.lease : NetpunchControl.hold)
    }
  }
}

extension NetpunchSlot {
  /// The slot at a place in the alphabet.
  fileprivate init?(index: Int) {
    self.init(UInt8(ascii: "a") + UInt8(clamping: index))
  }
}
