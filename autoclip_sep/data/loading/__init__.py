"""What a batch is read from: segments, loaders, augmentation."""
