"""Several processes of each role on several partitions, from a seed."""
