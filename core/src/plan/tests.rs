//! Tables of the rules; worlds are built by [`world::World`].

mod adoption;
mod asking;
mod attempts;
mod hosted;
mod mainline;
mod open_pulls;
mod properties;
mod pulls;
mod sets;
pub(crate) mod settings;
mod tools;
mod world;
