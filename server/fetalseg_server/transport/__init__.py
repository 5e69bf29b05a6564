"""What lies between the socket and the application: time-outs, TLS, and uvicorn's classes set for live video."""
