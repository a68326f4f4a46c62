"""The decider of one workflow execution."""
