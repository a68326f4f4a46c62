"""Loading: reads from outside what commands need before they are decided."""
