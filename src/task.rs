//! The only place that starts tasks, so that a panic in one is seen.

use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts tasks by name, remembers which of them panicked, and ends them together.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    panicked: Arc<Mutex<Vec<String>>>,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the tasks have to end.
    pub fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Runs `future` as a task of its own until it ends or [`Self::stop`] is called.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts tasks")]
    pub fn spawn<F>(&self, name: impl Into<String>, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        let stop = self.stop.clone();
        let panicked = Arc::clone(&self.panicked);
        let inner = tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = future => {}
            }
        });
        self.tracker.spawn(async move {
            if let Err(error) = inner.await
                && error.is_panic()
            {
                tracing::error!(task = name, "a task panicked; `readyz` is red until a restart");
                panicked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(name);
            }
        });
    }

    /// Names of tasks that panicked; not empty means that the daemon is not healthy.
    pub fn panicked(&self) -> Vec<String> {
        self.panicked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Ends all tasks and waits until they are gone.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
