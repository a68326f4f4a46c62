"""Views: what each event changes in the rows of the read models, pure."""
