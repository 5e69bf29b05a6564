"""What the benchmarks of the live service share: a server of their own, consoles, and what both are watched with.

Everything here knows the server as a console's vendor does: by the written protocol, by HTTP, and as processes of the
operating system.
"""
