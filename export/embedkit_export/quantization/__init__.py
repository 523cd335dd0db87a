"""One precision a file, over shared products and calibration."""
