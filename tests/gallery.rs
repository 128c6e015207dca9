//! The escape gallery, in a program of its own: its floods must not slow down tests that measure
//! deadlines, and it must not be slowed down by them.

#[path = "it/gallery/mod.rs"]
mod gallery;
#[expect(dead_code, reason = "the gallery needs a part of what the tests share")]
#[path = "it/support/mod.rs"]
mod support;
