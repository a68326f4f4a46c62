"""The compiler: workflow templates to checked, connected closures (ref §3)."""
