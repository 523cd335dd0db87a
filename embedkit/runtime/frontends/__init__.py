"""From items to tensors: one file a modality."""
