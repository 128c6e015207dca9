//! A forge to test against: one stateful world with a GitHub face on a real port.
//!
//! A test changes the world by the verbs that people have (push, open, edit, close, merge, rename); what
//! the API answers, the limits it enforces and the webhooks it sends all follow from the world. Faults
//! are put in between by rules, and every request is counted.

#![recursion_limit = "256"]
#![expect(clippy::expect_used, reason = "a model that cannot go on fails the test that uses it")]

mod acts;
mod branches;
pub mod fault;
mod github;
pub mod limit;
pub mod log;
pub mod world;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use acts::{Edit, NewChange};
pub use fault::{Fault, HookFault, HookWhat, What};
pub use limit::{Limits, Meter};
pub use log::{Count, Summary};
pub use world::{Access, HookTarget, Permission, State, Token};

/// A running model. It ends when it is dropped.
pub struct Model {
    /// `http://127.0.0.1:PORT`: web and git. The API is at `/api/v3` (and at `/`), GraphQL at
    /// `/api/graphql` (and at `/graphql`).
    pub url: String,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

/// What requests and acts share.
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Model {
    /// An empty world on a free port of the loopback address.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// An empty world at this address.
    #[expect(clippy::disallowed_methods, reason = "the model's own server")]
    pub async fn start_at(address: &str) -> Self {
        let listener = tokio::net::TcpListener::bind(address).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let runtime = tokio::runtime::Handle::current();
        let state = Mutex::new(State::new(&url));
        let shared = Arc::new(Shared { state, runtime });
        let app =
            axum::Router::new().fallback(github::serve::answer).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("the model serves");
        });
        Self { url, shared, server }
    }

    /// Where the REST API is.
    pub fn api_url(&self) -> String {
        format!("{}/api/v3", self.url)
    }

    /// The world itself, for what no verb does.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Puts a fault between the world and whoever asks.
    pub fn fault(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Ends all faults.
    pub fn no_faults(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.hook_faults.clear();
    }

    /// What was asked since the start or since [`Self::forget_requests`].
    pub fn requests(&self) -> Summary {
        self.state().log.summary()
    }

    /// Counts from nothing again.
    pub fn forget_requests(&self) {
        self.state().log.clear();
    }

    /// A webhook of one repository, or of an app that is told of all, sent to `url` and signed with
    /// `secret`.
    pub fn hook(&self, repository: Option<&str>, url: &str, secret: &str) -> u64 {
        let mut state = self.state();
        let target = match repository {
            Some(name) => HookTarget::Repository(state.named(name).id),
            None => HookTarget::App,
        };
        state.add_hook(target, url, secret)
    }

    /// Sends a delivery once more; whether there is one of that id.
    pub fn deliver_again(&self, id: u64) -> bool {
        github::hooks::again(&self.shared, &mut self.state(), id)
    }

    /// A webhook for the repositories of an owner.
    pub fn org_hook(&self, owner: &str, url: &str, secret: &str) -> u64 {
        let target = HookTarget::Organization(owner.to_lowercase());
        self.state().add_hook(target, url, secret)
    }

    /// A repository backed by a bare one on disk, served over git's own protocol.
    pub fn backed_by(&self, name: &str, folder: &Path) {
        let mut state = self.state();
        let id = state.id(name).expect("a repository");
        let repository = state.repositories.get_mut(&id).expect("a repository");
        repository.folder = Some(folder.to_owned());
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.server.abort();
    }
}
