//! What runs may write, and how much of it is kept.

use crosswatch_core::model::settings::{Bounds, LogRules, OutputLimit};
use crosswatch_core::model::size::Size;

use super::super::keys;
use super::{At, Walk};

/// Below this a log could not hold the marks of a cut.
const SMALLEST: Size = Size(64 << 10);

impl Walk<'_> {
    pub(super) fn bytes(&mut self, at: Option<At<'_>>, default: Size) -> Size {
        let Some(at) = at else { return default };
        let Some(text) = self.text(Some(at)) else { return default };
        match text.parse::<Size>() {
            Ok(size) if size >= SMALLEST => size,
            Ok(_) => {
                self.wrong(at, "a size of at least 64KiB", "write a larger one");
                default
            }
            Err(_) => {
                let mend = if text.bytes().all(|b| b.is_ascii_digit()) {
                    "give the unit as well, such as 64MiB"
                } else {
                    "write a whole number and one of B, KiB, MiB, GiB, TiB, such as 64MiB"
                };
                self.wrong(at, "a size", mend);
                default
            }
        }
    }

    pub(super) fn output(&mut self, at: Option<At<'_>>, default: OutputLimit) -> OutputLimit {
        let Some(at) = at else { return default };
        let fields = self.fields(at.node, at.path, &keys::OUTPUT);
        OutputLimit {
            max: self.bytes(fields.get("max"), default.max),
            over: self.choice(fields.get("over"), default.over),
        }
    }

    pub(super) fn bounds(&mut self, at: Option<At<'_>>, default: Bounds) -> Bounds {
        let Some(at) = at else { return default };
        let fields = self.fields(at.node, at.path, &keys::LIMITS);
        let mut size = |key, default: Option<Size>| match fields.get(key) {
            Some(at) => Some(self.bytes(Some(at), default.unwrap_or(SMALLEST))),
            None => default,
        };
        let (memory, disk) = (size("memory", default.memory), size("disk", default.disk));
        let files = fields.get("open_files");
        Bounds {
            memory,
            disk,
            processes: self.count(fields.get("processes"), default.processes),
            open_files: match files {
                Some(at) => Some(self.count(Some(at), 1024)),
                None => default.open_files,
            },
        }
    }

    pub(super) fn logs(&mut self, at: Option<At<'_>>) -> LogRules {
        let default = LogRules::DEFAULT;
        let Some(at) = at else { return default };
        let fields = self.fields(at.node, at.path, &keys::LOGS);
        LogRules {
            keep: self.duration(fields.get("keep"), default.keep),
            max_size: self.bytes(fields.get("max_size"), default.max_size),
        }
    }
}
