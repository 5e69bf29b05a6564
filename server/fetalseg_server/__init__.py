"""The streaming service: frames in over WebSocket, structures out before the next frame arrives."""
