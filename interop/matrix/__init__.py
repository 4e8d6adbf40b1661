"""quic-interop-runner's cases without containers: namespaces, a bad link, and packets as judges."""
