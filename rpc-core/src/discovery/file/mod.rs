//! Instances in files.
pub(crate) mod write;
