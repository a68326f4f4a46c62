"""HTTP routes beside the transcoded ones."""
