//! Behaviour tests of whole images.
