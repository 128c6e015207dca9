//! Right and wrong configurations.
use super::*;
