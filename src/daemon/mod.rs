//! The only place that wires the boxes together.

pub mod access;

pub use access::Access;
