"""HTTP routes besides the transcoded ones."""
