//! Faults, by rules: which requests they strike, how often, and what they do.

use std::time::Duration;

/// A rule. The first that matches strikes.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Part of `METHOD PATH?QUERY`, such as `GET /repos/a/b/pulls`; everything when empty.
    pub on: String,
    /// Part of the body, such as the name of a GraphQL query.
    pub body: Option<String>,
    /// Only requests with this token, by its name in the log.
    pub token: Option<String>,
    /// So many requests are spared first.
    pub after: u32,
    /// So many are struck; all when left out.
    pub times: Option<u32>,
    /// What happens.
    pub what: What,
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum What {
    /// This status, headers and body in place of the answer.
    Status(u16, Vec<(String, String)>, String),
    /// The answer comes later.
    Delay(Duration),
    /// No answer ever.
    Hang,
    /// The connection breaks off in the middle of the body.
    Cut,
    /// A byte of the body at a time.
    Drip(Duration),
    /// Bytes that are not what the type says.
    Garbage(Vec<u8>),
    /// 200 and a page for people.
    Html,
    /// 304 to whoever has an ETag, whatever changed since.
    Stale304,
    /// 502 to GraphQL queries for more than so many nodes, charged ten points, as time-outs are.
    Heavy(usize),
}

/// What happens to a webhook. The first that matches strikes.
#[derive(Clone, Debug)]
pub struct HookFault {
    /// Such as `pull_request`; everything when left out.
    pub event: Option<String>,
    /// So many are struck; all when left out.
    pub times: Option<u32>,
    /// What happens.
    pub what: HookWhat,
}

/// What happens to a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookWhat {
    /// It is never sent; the delivery log says so.
    Lose,
    /// It is sent twice with one id.
    Duplicate,
    /// It is sent later.
    Late(Duration),
    /// It is sent at some time before this is over, each at another: they arrive in any order.
    Shuffle(Duration),
    /// Its signature is made with another secret.
    BadSignature,
    /// It has no signature.
    Unsigned,
}

impl Fault {
    /// Strikes every request with this in `METHOD PATH?QUERY`.
    pub fn on(on: &str, what: What) -> Self {
        Self { on: on.to_owned(), body: None, token: None, after: 0, times: None, what }
    }

    /// Strikes so often.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Spares so many first.
    #[must_use]
    pub fn after(mut self, after: u32) -> Self {
        self.after = after;
        self
    }

    fn matches(&self, line: &str, body: &str, token: &str) -> bool {
        line.contains(&self.on)
            && self.body.as_ref().is_none_or(|part| body.contains(part))
            && self.token.as_ref().is_none_or(|name| name == token)
    }
}

/// What strikes this request; the rule counts it.
pub(crate) fn strike(faults: &mut Vec<Fault>, line: &str, body: &str, token: &str) -> Option<What> {
    let at = faults.iter().position(|fault| fault.matches(line, body, token))?;
    let fault = faults.get_mut(at)?;
    if fault.after > 0 {
        fault.after -= 1;
        return None;
    }
    let what = fault.what.clone();
    if let Some(times) = &mut fault.times {
        *times = times.saturating_sub(1);
        if *times == 0 {
            faults.remove(at);
        }
    }
    Some(what)
}

/// What strikes this webhook; the rule counts it.
pub(crate) fn strike_hook(faults: &mut Vec<HookFault>, event: &str) -> Option<HookWhat> {
    let matches = |fault: &HookFault| fault.event.as_ref().is_none_or(|name| name == event);
    let at = faults.iter().position(matches)?;
    let fault = faults.get_mut(at)?;
    let what = fault.what;
    if let Some(times) = &mut fault.times {
        *times = times.saturating_sub(1);
        if *times == 0 {
            faults.remove(at);
        }
    }
    Some(what)
}
