"""The process that decodes frames and runs the engine, and what passes between it and the server."""
