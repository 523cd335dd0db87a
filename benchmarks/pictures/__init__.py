"""A trained model of pictures, and real pictures, out of packages of the package index."""
