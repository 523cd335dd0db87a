"""What the machine and its Python decide: caches, processes, optional packages."""
