"""A browser that everybody has, as a client of our HTTP/3."""
