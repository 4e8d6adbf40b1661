import HolePunch
import QuicTransport
import Simulation

extension PunchKeys {
  /// Keys of both sides, the first side's first.
  static func fixtures(secret: UInt8 = 1, salt: [UInt8] = []) -> (first: Self, second: Self) {
    let one = Identity.fixture(1).publicKey
    let two = Identity.fixture(2).publicKey
    let secret = SecretBytes([UInt8](repeating: secret, count: 16))
    let keys = [
      PunchKeys(secret: secret, salt: salt, ours: one, theirs: two, winsTies: false),
      PunchKeys(secret: secret, salt: salt, ours: two, theirs: one, winsTies: false),
    ]
    return keys[0].isFirst ? (keys[0], keys[1]) : (keys[1], keys[0])
  }
}
