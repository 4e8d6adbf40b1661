"""What a session does while the way under it changes between a relay and a direct path: real programs."""
