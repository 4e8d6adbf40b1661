/// The number of a QUIC stream (RFC 9000 §2.1).
public struct StreamID: Hashable, Sendable, CustomStringConvertible {
  /// The number as it stands in frames.
  public let number: Int64

  /// An ID from its number.
  public init(number: Int64) {
    self.number = number
  }

  /// Whether the server opened the stream.
  public var isServerInitiated: Bool { number & 1 != 0 }
  /// Whether only the side that opened it may write.
  public var isUnidirectional: Bool { number & 2 != 0 }
  /// The number.
  public var description: String { String(number) }
}

/// Told what happens to a stream. Called on the loop, outside of any C callback, once a tick.
public protocol StreamDelegate: AnyObject {
  /// Bytes or the end of the stream are there to read.
  func streamReadable(_ stream: StreamCore)
  /// `sendCapacity` is above zero again after a writer found it at zero.
  func streamWritable(_ stream: StreamCore)
  /// The peer abandoned its sending side; unread bytes are gone.
  func streamReset(_ stream: StreamCore, code: UInt64)
  /// The peer no longer reads; this side's sending part is reset already.
  func streamStopped(_ stream: StreamCore, code: UInt64)
  /// Both directions are done, or the connection is gone (`error`). The last call.
  func streamClosed(_ stream: StreamCore, error: QuicError?)
}

/// One QUIC stream: the bytes waiting in both directions, and their flow control.
///
/// Synchronous and bound to its loop; `QuicStream` is the async face of it. The connection owns it
/// while it is open.
///
///     sending:    open --finish--> finishing --all acknowledged--> done
///                   \--reset, or the peer's STOP_SENDING---------> done
///     receiving:  open --FIN read to the end--> done
///                   \--RESET_STREAM, or stopReceiving------------> done
public final class StreamCore {
  /// The stream's number on its connection.
  public let id: StreamID
  /// Told what happens; set it in the call that hands the stream over.
  public weak var delegate: (any StreamDelegate)?
  /// Nil once the connection is gone.
  public private(set) weak var connection: ConnectionCore?

  var receiveBuffer: ReceiveBuffer
  var sendBuffer: SendBuffer
  private var window: ReceiveWindow
  private let unsentBytesMax: Int
  private let unsentBytesTotalMax: Int

  /// What `deliver` has to tell.
  var events: Events = []
  /// True while the stream is in its connection's list of streams with events.
  var isListed = false
  var resetCode: UInt64 = 0
  var stopCode: UInt64 = 0
  var closeError: QuicError?

  /// The scheduler's mark: which queue the stream is in.
  var sendState = SendState.idle
  private(set) var isFinishing = false
  /// FIN left in a packet (it may be sent again by ngtcp2 itself).
  var finSent = false
  var sendClosed: Bool
  var receiveClosed: Bool
  var receivedFin = false
  private(set) var isClosed = false
  private var writerWaits = false
  private var isCredited = false
  /// This side queued bytes, at some time.
  private var hasWritten = false
  /// Either side broke it off.
  private var isBroken = false

  init(id: StreamID, connection: ConnectionCore, pool: ChunkPool, now: Instant) {
    self.id = id
    self.connection = connection
    receiveBuffer = ReceiveBuffer(pool: pool)
    sendBuffer = SendBuffer(pool: pool)
    let settings = connection.settings
    window = ReceiveWindow(
      size: settings.streamWindowInitial, max: settings.streamWindowMax, now: now)
    unsentBytesMax = settings.unsentBytesMax
    unsentBytesTotalMax = settings.unsentBytesTotalMax
    let isLocal = id.isServerInitiated == connection.isServer
    sendClosed = id.isUnidirectional && !isLocal
    receiveClosed = id.isUnidirectional && isLocal
  }

  // MARK: Reading

  /// Bytes that can be read now.
  public var readableCount: Int { receiveBuffer.count }

  /// The peer's FIN arrived and everything before it was consumed.
  public var isAtEnd: Bool { receivedFin && receiveBuffer.count == 0 }

  /// Lends the first pieces of what can be read, `limit` at most; follow it by `consume`.
  public func withReadablePieces<Result>(
    limit: Int, _ body: (UnsafeBufferPointer<UnsafeRawBufferPointer>) -> Result
  ) -> Result {
    receiveBuffer.withPieces(limit: limit, body)
  }

  /// Drops `count` bytes from the front and grants the peer as many more. Call it for bytes that
  /// the next sink has accepted, not before: this is the back-pressure.
  public func consume(_ count: Int) {
    guard count > 0 else { return }
    receiveBuffer.consume(count)
    guard let connection else { return }
    let growth = window.consume(count, roundTrip: connection.roundTrip, now: connection.now)
    // A side whose FIN arrived needs no credit.
    if !receivedFin { connection.extendStream(id, by: count + growth) }
    connection.noteConsumed(count)
    if isClosed { connection.creditIfDone(self) }
  }

  /// Copies out and consumes up to `buffer.count` bytes; returns how many.
  public func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    var copied = 0
    withReadablePieces(limit: .max) { pieces in
      for piece in pieces where copied < buffer.count {
        let part = piece.prefix(buffer.count - copied)
        UnsafeMutableRawBufferPointer(rebasing: buffer[copied...]).copyBytes(from: part)
        copied += part.count
      }
    }
    consume(copied)
    return copied
  }

  /// Has the delegate told once more, in the next tick, that there is something to read: for one that stops
  /// early, so that others have their turn.
  public func tellAgain() {
    events.insert(.readable)
    connection?.list(self)
  }

  /// Asks the peer to stop sending and drops what it sent (RFC 9000 §3.5).
  public func stopReceiving(code: UInt64) {
    guard !receiveClosed else { return }
    receiveClosed = true
    isBroken = true
    dropReceived()
    connection?.shutdown(self, reading: true, code: code)
  }

  // MARK: Writing

  /// Bytes that the stream takes right now. At zero, `streamWritable` will tell.
  public var sendCapacity: Int {
    guard !sendClosed, !isFinishing else { return 0 }
    let capacity = unsentShare - sendBuffer.unsentCount
    if capacity <= 0 { writerWaits = true }
    return max(0, capacity)
  }

  /// How much of what waits may be this stream's: as much as is left for all of them, so that many
  /// stopped readers share a bounded memory and leave something for the next one (the dynamic
  /// threshold of Choudhury and Hahne). Never nothing, for a stream with nothing hears of no room.
  private var unsentShare: Int {
    let left = unsentBytesTotalMax - (connection?.unsentBytes ?? 0)
    return min(unsentBytesMax, max(left, Self.unsentShareMin))
  }

  private static let unsentShareMin = 1_024

  /// Bytes that were written and not acknowledged yet.
  public var unacknowledgedCount: Int { sendBuffer.heldCount }

  /// Queues a copy of `bytes`. Mind `sendCapacity`: it is not enforced here, so that a writer need
  /// not split a message.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(StreamError) {
    try checkWritable()
    hasWritten = true
    sendBuffer.append(bytes)
    connection?.unsentBytes += bytes.count
    connection?.queueForSending(self)
  }

  /// Queues a copy of `bytes`.
  public func write(_ bytes: [UInt8]) throws(StreamError) {
    try checkWritable()
    hasWritten = true
    bytes.withUnsafeBytes { sendBuffer.append($0) }
    connection?.unsentBytes += bytes.count
    connection?.queueForSending(self)
  }

  /// Queues what `fill` reads into the memory it is lent (64 KiB): bulk data is not copied again.
  public func write<Result>(
    reading fill: (UnsafeMutableRawBufferPointer) -> (count: Int, result: Result)
  ) throws(StreamError) -> Result {
    try checkWritable()
    let before = sendBuffer.unsentCount
    // A whole chunk, until others need the room.
    let share = unsentShare
    let limit = share < unsentBytesMax ? max(share - before, Self.unsentShareMin) : Int.max
    let result = sendBuffer.append(limit: limit, reading: fill)
    connection?.unsentBytes += sendBuffer.unsentCount - before
    if sendBuffer.unsentCount > 0 {
      hasWritten = true
      connection?.queueForSending(self)
    }
    return result
  }

  /// Ends the sending side after what is queued; the peer reads to the end.
  public func finish() {
    guard !sendClosed, !isFinishing else { return }
    isFinishing = true
    connection?.queueForSending(self)
  }

  /// Abandons the sending side (RFC 9000 §3.1); what is queued may be lost.
  public func reset(code: UInt64) {
    guard !sendClosed else { return }
    sendClosed = true
    isBroken = true
    connection?.shutdown(self, reading: false, code: code)
  }

  private func checkWritable() throws(StreamError) {
    if let closeError { throw .connectionLost(closeError) }
    if events.contains(.stopped) || stopCode != 0 { throw .stopped(code: stopCode) }
    guard !sendClosed, !isFinishing, !isClosed else { throw .alreadyClosed }
  }
}

// MARK: - From the connection

extension StreamCore {
  /// Where the stream stands with its connection's scheduler.
  enum SendState {
    /// Nothing to send.
    case idle
    /// In a queue.
    case queued
    /// Waits for MAX_STREAM_DATA.
    case blocked
  }

  struct Events: OptionSet {
    let rawValue: UInt8
    static let readable = Events(rawValue: 1)
    static let writable = Events(rawValue: 2)
    static let reset = Events(rawValue: 4)
    static let stopped = Events(rawValue: 8)
    static let closed = Events(rawValue: 16)
  }

  /// True when the scheduler has bytes or a FIN to put into packets.
  var hasUnsent: Bool {
    !sendClosed && (sendBuffer.unsentCount > 0 || (isFinishing && !finSent))
  }

  /// Everything, FIN included, left, and all bytes were acknowledged.
  var isSentCompletely: Bool { finSent && sendBuffer.heldCount == 0 }

  /// In a C callback: bytes in order. Returns how many are held from now on.
  func receive(_ bytes: UnsafeRawBufferPointer, fin: Bool) -> Int {
    if fin { receivedFin = true }
    guard !receiveClosed else { return 0 }
    receiveBuffer.append(bytes)
    events.insert(.readable)
    return bytes.count
  }

  /// In a C callback: everything before `offset` was acknowledged.
  func acknowledge(upTo offset: UInt64) {
    sendBuffer.acknowledge(upTo: offset)
  }

  /// After bytes left: whether a waiting writer should hear that there is room again.
  func noteSent() {
    if writerWaits, sendBuffer.unsentCount <= unsentShare / 2 {
      writerWaits = false
      events.insert(.writable)
      connection?.list(self)
    }
  }

  /// Forgets unread bytes and credits the connection for them, exactly once. They may have been
  /// all that kept a closed stream from making room for another.
  func dropReceived() {
    let dropped = receiveBuffer.removeAll()
    if dropped > 0 { connection?.noteConsumed(dropped) }
    if isClosed { connection?.creditIfDone(self) }
  }

  /// In a C callback: the peer gave a direction up.
  func noteBrokenByPeer() {
    isBroken = true
  }

  /// It was broken off before this side said anything on it.
  var cameToNothing: Bool { isBroken && !hasWritten }

  /// True once, when a stream that the peer opened is closed and its consumer has everything.
  func takeStreamCredit() -> Bool {
    guard isClosed, !isCredited, receiveBuffer.count == 0, let connection,
      id.isServerInitiated != connection.isServer
    else { return false }
    isCredited = true
    return true
  }

  func markClosed(_ error: QuicError?) {
    isClosed = true
    closeError = error
    events.insert(.closed)
  }

  /// Tells the delegate what happened since the last time.
  func deliver() {
    let events = self.events
    self.events = []
    isListed = false
    if events.contains(.readable), !receiveClosed { delegate?.streamReadable(self) }
    if events.contains(.reset) { delegate?.streamReset(self, code: resetCode) }
    if events.contains(.stopped) { delegate?.streamStopped(self, code: stopCode) }
    if events.contains(.writable), !sendClosed { delegate?.streamWritable(self) }
    if events.contains(.closed) { delegate?.streamClosed(self, error: closeError) }
  }
}
