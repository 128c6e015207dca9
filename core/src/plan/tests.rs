//! Tables of the rules; worlds are built by [`world::World`].

mod adoption;
mod attempts;
mod explain;
mod mainline;
mod properties;
mod saved;
mod sets;
mod settings;
mod what_if;
mod world;
