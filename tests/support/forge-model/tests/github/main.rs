//! The GitHub face, asked over real sockets.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod faces;
mod schemas;
