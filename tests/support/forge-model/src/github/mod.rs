//! The world as GitHub shows it.

pub(crate) mod git;
pub(crate) mod graphql;
pub(crate) mod hooks;
pub(crate) mod json;
mod parse;
mod rest;
pub(crate) mod serve;
mod write;
