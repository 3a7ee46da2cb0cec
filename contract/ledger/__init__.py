"""The ledger: the durable record of what was promised and what was done, in Redis.

``records`` are its values, ``scripts`` its atomic steps (Lua, one function each),
``ledger`` the steps as methods, ``jobs`` the counters that people watch, ``sweeper`` the
one who finds what fell on the floor, ``connection`` the way to Redis.
"""
