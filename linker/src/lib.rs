//! Merges a nucleus and a guest into one bootable image.
