//! Tables of the rules; worlds are built by [`world::World`].

mod adoption;
mod asked;
mod asking;
mod attempts;
mod candidates;
mod candidates_of_pulls;
mod clock;
mod explain;
mod gone;
mod hosted;
mod mainline;
mod moving;
mod open_pulls;
mod paths;
mod play;
mod properties;
mod pulls;
mod readings;
mod reports;
mod saved;
mod sets;
pub(crate) mod settings;
mod table;
mod tool;
mod tools;
mod what_if;
mod world;
