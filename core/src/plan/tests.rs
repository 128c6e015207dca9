//! Tables of the rules; worlds are built by [`world::World`].

mod adoption;
mod attempts;
mod mainline;
mod properties;
mod sets;
mod settings;
mod tools;
mod world;
