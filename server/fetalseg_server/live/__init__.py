"""A live session: its frames, what each is owed, what lasts when the connection breaks, its examination."""
