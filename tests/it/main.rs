//! The one integration test binary.

mod forge;
mod supervise;
mod support;
