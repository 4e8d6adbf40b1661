internal import CNgtcp2

/// The machine's processors.
public enum Processors {
  /// As many as this process may run on; at least one.
  public static var available: Int { Int(qtun_processor_count()) }
}
