//! The CI backends against a real Buildbot, a real HTTP server and real processes.

mod backends;
mod master;

use std::path::Path;
use std::sync::Arc;

use crosswatch::ci::{Backend, Found, Parts, build_backend};
use crosswatch::clock::Clock;
use crosswatch::http::HttpClient;
use crosswatch::task::Tasks;
use crosswatch_core::model::build::{
    BuildRequest, Cause, Override, Primary, RequestId, SetMember, Verdict,
};
use crosswatch_core::model::identity::{Fingerprint, Oid, RepositoryId, Subject};
use crosswatch_core::model::settings::{Bounds, CiKind, CiSettings, Limits, OutputLimit};
use crosswatch_core::model::time::Span;

use crate::support::{eventually, supervisor};

const LIMITS: Limits = Limits {
    timeout: Span::seconds(30),
    silence: Span::seconds(30),
    grace: Span::seconds(1),
    output: OutputLimit::DEFAULT,
    bounds: Bounds::DEFAULT,
};

#[expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
fn backend(dir: &Path, kind: CiKind) -> Arc<dyn Backend> {
    let settings = CiSettings {
        name: "main".into(),
        kind,
        max_in_flight: 8,
        deadline: Span::seconds(10),
        poll: Span::seconds(1),
        lost_after: Span::minutes(10),
        push_secret: None,
    };
    let parts = Parts {
        web: Arc::new(HttpClient::new().unwrap()),
        runner: Arc::new(supervisor()),
        tasks: Tasks::new(),
        clock: Clock::system(),
        state_dir: dir.to_owned(),
        config_dir: dir.to_owned(),
    };
    let secret = |_: &_| Ok(crate::support::buildbot::HOOK_PASSWORD.to_owned().into());
    build_backend(&settings, &parts, &secret).unwrap()
}

/// A request for change `number`, with an id of its own.
#[expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
fn request(number: u8) -> Arc<BuildRequest> {
    let repository = RepositoryId::new("github.com", "rock-core/base-types");
    let change = repository.change(u64::from(number));
    let head: Oid = format!("{number:040x}").parse().unwrap();
    Arc::new(BuildRequest {
        request_id: RequestId([number; 16]),
        workspace: "rock".into(),
        subject: Subject::Change(change.clone()),
        fingerprint: Fingerprint([number; 32]),
        attempt: 1,
        cause: Cause::New,
        reason: "new change".into(),
        mainline: None,
        decided_at: Clock::system().now(),
        set: vec![SetMember { change: change.clone(), head, base: "master".into() }],
        overrides: vec![Override {
            change,
            change_url: None,
            packages: vec!["base/types".into()],
            repository_url: "https://github.com/rock-core/base-types".into(),
            ref_name: format!("refs/pull/{number}/head"),
            head,
            base: "master".into(),
            unpin: false,
            repeats: std::collections::BTreeMap::new(),
        }],
        spellings: Vec::new(),
        heads: Arc::default(),
        affected: vec!["base/types".into()],
        trusted: true,
        page: None,
        primary: Primary {
            repository_url: "https://github.com/rock-core/base-types".into(),
            repository: Some(repository),
            branch: "feature".into(),
            revision: Some(head),
            author: Some("me".into()),
            committer: None,
            source_project_id: None,
            when: None,
        },
    })
}

/// Follows a build to its end.
#[expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
async fn ended(backend: &Arc<dyn Backend>, request: &Arc<BuildRequest>) -> (Verdict, Found) {
    let mut end = None;
    eventually("the build ends", async || {
        let found = backend.find(Arc::clone(request), None).await.unwrap();
        if let Found::Ended { verdict, .. } = &found {
            end = Some((*verdict, found.clone()));
        }
        end.is_some()
    })
    .await;
    end.unwrap()
}
