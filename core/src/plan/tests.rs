//! Tables of the rules; worlds are built by [`world::World`].

mod adoption;
mod attempts;
mod mainline;
mod properties;
mod sets;
pub(crate) mod settings;
mod tools;
mod world;
