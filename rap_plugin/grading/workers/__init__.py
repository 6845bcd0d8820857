"""Worker processes that can be killed, and what runs in them."""
