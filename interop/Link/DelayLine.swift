/// Packets that wait for their time: a binary heap by time, then by order of arrival.
struct DelayLine {
  private var heap: [Entry] = []
  private var arrivals: UInt64 = 0
  /// Bytes that wait.
  private(set) var byteCount = 0

  private struct Entry {
    let due: UInt64
    let arrival: UInt64
    let packet: Packet

    func isBefore(_ other: Entry) -> Bool { (due, arrival) < (other.due, other.arrival) }
  }

  /// When the first packet is to leave.
  var nextDue: UInt64? { heap.first?.due }

  mutating func insert(_ packet: Packet, due: UInt64) {
    arrivals += 1
    byteCount += packet.bytes.count
    heap.append(Entry(due: due, arrival: arrivals, packet: packet))
    var index = heap.count - 1
    while index > 0, heap[index].isBefore(heap[(index - 1) / 2]) {
      heap.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  /// Takes out the first packet if it is due.
  mutating func pop(now: UInt64) -> Packet? {
    guard let first = heap.first, first.due <= now else { return nil }
    byteCount -= first.packet.bytes.count
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var index = 0
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2]
      where child < heap.count && heap[child].isBefore(heap[least]) { least = child }
      if least == index { return first.packet }
      heap.swapAt(index, least)
      index = least
    }
  }
}
