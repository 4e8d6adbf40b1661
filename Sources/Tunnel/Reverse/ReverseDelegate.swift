/// Hears what the peer says about reverse listening. Called on the loop.
protocol ReverseDelegate: AnyObject {
  /// - Returns: whether the message may come at this time; if not, the session is closed.
  func session(_ session: SessionCore, received message: ControlMessage) -> Bool
}
