"""What a hostile peer sends, and what must come of it, as tables.

Plain data and bytes: no QUIC stack is needed to read them. `interop/peers/lawless_*.py` play them.
"""
