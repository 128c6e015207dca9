//! Tables of the rules; worlds are built by [`world::World`].

mod adoption;
mod asking;
mod attempts;
mod clock;
mod explain;
mod hosted;
mod mainline;
mod moving;
mod open_pulls;
mod play;
mod properties;
mod pulls;
mod saved;
mod sets;
pub(crate) mod settings;
mod table;
mod tools;
mod what_if;
mod world;
