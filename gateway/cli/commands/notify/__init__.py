"""`flightlog notify`: channels, rules and deliveries."""
