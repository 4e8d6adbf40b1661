"""What one relay stands: a thousand nodes, floods from forged addresses, hellos without end, guessers."""
