//! The grammar as tables, and hostile texts.

mod table;
