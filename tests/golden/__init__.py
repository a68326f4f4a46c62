"""Released bytes and streams: every later version must read them."""
