"""AdminService by theme: translate, submit or query, translate."""
