"""What plugins share: names, room on the disk, the network, the translation of errors; all of it is exported by `embedkit.stores`."""
