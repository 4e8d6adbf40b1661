"""What was on the wire: captures of a link's ends, decrypted with the secrets that both sides logged."""
