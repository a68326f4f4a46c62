"""An engine of many processes in virtual time, on a broker in memory."""
