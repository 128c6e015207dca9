//! Tables of the rules; worlds are built by [`world::World`].

mod adoption;
mod attempts;
mod autoproj;
mod mainline;
mod properties;
mod sets;
mod settings;
mod world;
