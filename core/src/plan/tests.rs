//! Tables of the rules; worlds are built by [`world::World`].

mod adoption;
mod asking;
mod attempts;
mod candidates;
mod explain;
mod hosted;
mod mainline;
mod open_pulls;
mod paths;
mod play;
mod properties;
mod pulls;
mod saved;
mod sets;
pub(crate) mod settings;
mod table;
mod tool;
mod tools;
mod what_if;
mod world;
