"""Operations on batches of images: resampling, and the transformations of adaptive discriminator augmentation."""
