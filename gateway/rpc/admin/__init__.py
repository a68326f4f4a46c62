"""AdminService by topic: translate the request, submit or query, translate back."""
