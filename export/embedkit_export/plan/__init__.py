"""What is exported: graphs and roles, made from a model and a recipe."""
