"""The projector: follows the events, writes rows with its position, rebuilds."""
