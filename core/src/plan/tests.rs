//! Tables of the rules; worlds are built by `World`.
