"""Operations: verify, back up, redrive, retain and relay what the log holds."""
