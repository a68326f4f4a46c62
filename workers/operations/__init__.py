"""Operations on a log: audit, backup, redrive, retention, trimming, relay."""
