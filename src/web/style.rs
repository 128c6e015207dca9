//! The one style sheet.

use axum::http::header;
use axum::response::IntoResponse;

pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --quiet: #777; --bad: #c62828; --good: #2e7d32; --busy: #1565c0; }
@media (prefers-color-scheme: dark) { :root { --quiet: #999; --bad: #ff8a80; --good: #81c784; --busy: #82b1ff; } }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; }
header { display: flex; justify-content: space-between; padding: .6rem 1.2rem; border-bottom: 1px solid var(--line); color: var(--quiet); }
header a { font-weight: 600; }
main { max-width: 90rem; margin: 0 auto; padding: 0 1.2rem 3rem; }
h1 { font-size: 1.4rem; margin: 1rem 0 0; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; }
a { color: inherit; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; color: var(--quiet); }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
section.wrong { border-left: 4px solid var(--bad); padding: .1rem 1rem .6rem; margin-top: 1rem; }
dt { font-weight: 600; } dd { margin: 0 0 .4rem; white-space: pre-wrap; }
p.finding, p.wrong, td.bad { color: var(--bad); } p.good { color: var(--good); } p.note { color: var(--quiet); } td p { margin: .1rem 0; }
.word { font-weight: 600; } .blocked, .failure, .refused, .lost { color: var(--bad); }
.success { color: var(--good); } .build, .running, .sent, .sending, .queued { color: var(--busy); }
.unchanged, .held, .covered, .superseded, .dropped, .unknown, .cancelled { color: var(--quiet); }
pre { overflow-x: auto; padding: .6rem; border: 1px solid var(--line); border-radius: .3rem; font-size: 13px; }
pre.log { line-height: 1.35; } pre.log .at, .stream-note { color: var(--quiet); } .stream-error { color: var(--bad); }
summary { cursor: pointer; }
";
