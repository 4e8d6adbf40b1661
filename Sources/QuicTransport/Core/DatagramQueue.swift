/// DATAGRAM frames that wait for a packet (RFC 9221), first in, first out.
struct DatagramQueue {
  private var items: [[UInt8]] = []
  private var head = 0

  var count: Int { items.count - head }
  var first: [UInt8]? { head < items.count ? items[head] : nil }

  mutating func append(_ datagram: [UInt8]) {
    items.append(datagram)
  }

  mutating func removeFirst() {
    items[head] = []
    head += 1
    if head == items.count {
      removeAll()
    } else if head >= 64, head * 2 > items.count {
      // A queue that is never empty must not keep the places of all that ever passed.
      items.removeFirst(head)
      head = 0
    }
  }

  mutating func removeAll() {
    items.removeAll(keepingCapacity: true)
    head = 0
  }
}
