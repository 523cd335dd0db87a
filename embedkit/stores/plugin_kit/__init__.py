"""What plugins share: names, room on the disk, the network."""
