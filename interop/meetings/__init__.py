"""Pairs of peers behind every kind of NAT, brought together by a relay: real programs, real NATs."""
