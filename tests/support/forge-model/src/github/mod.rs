//! The world as GitHub shows it.

mod apps;
pub(crate) mod git;
pub(crate) mod graphql;
pub(crate) mod hooks;
pub(crate) mod json;
mod parse;
mod rest;
pub(crate) mod serve;
mod write;
