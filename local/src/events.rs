//! EventBridge: delivers events to the functions whose rules match, asynchronously.

use crate::{log::Logger, pattern, runtime::Functions, template::Template};
use serde_json::Value as Json;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};

/// Lambda waits one minute before the first retry and two before the second. Here it is shorter,
/// for the developer's convenience.
const RETRY: Duration = Duration::from_millis(500);

/// The sending side of the event bus.
pub type Bus = mpsc::UnboundedSender<Json>;

/// A function that receives events.
struct Target {
    function: String,
    /// Event patterns; one that matches is enough.
    rules: Vec<Json>,
    /// Number of retries after a failed delivery.
    retries: u32,
}

/// Delivers the events of the bus.
pub struct EventDispatcher {
    events: mpsc::UnboundedReceiver<Json>,
    targets: Vec<Arc<Target>>,
    functions: Arc<Functions>,
    log: Logger,
}

impl EventDispatcher {
    pub fn new(
        events: mpsc::UnboundedReceiver<Json>,
        template: &Template,
        functions: Arc<Functions>,
        log: Logger,
    ) -> Self {
        let targets = template.functions.iter().map(|function| Target {
            function: function.name.clone(),
            rules: function.rules.clone(),
            retries: function.asynchronous_retries,
        });
        Self {
            events,
            targets: targets.map(Arc::new).collect(),
            functions,
            log,
        }
    }

    /// Delivers events until the future is dropped. `written` is notified after each delivery.
    pub async fn run(mut self, written: Arc<Notify>) {
        let mut deliveries = JoinSet::new();
        loop {
            tokio::select! {
                Some(event) = self.events.recv() => {
                    let wants = |target: &&Arc<Target>| target.rules.iter().any(|rule| pattern::matches(rule, &event));
                    for target in self.targets.iter().filter(wants) {
                        let functions = self.functions.clone();
                        let log = self.log.clone();
                        deliveries.spawn(deliver(target.clone(), event.to_string(), functions, log));
                    }
                }
                Some(_) = deliveries.join_next() => written.notify_one(),
                else => return,
            }
        }
    }
}

async fn deliver(target: Arc<Target>, event: String, functions: Arc<Functions>, log: Logger) {
    for attempt in 0..=target.retries {
        if attempt > 0 {
            log.notice(&format!(
                "{} failed to handle an event. Retrying in {} ms.",
                target.function,
                RETRY.as_millis()
            ));
            tokio::time::sleep(RETRY).await;
        }
        if functions
            .invoke(&target.function, event.clone().into())
            .await
            .is_ok()
        {
            return;
        }
    }
    log.problem(&format!(
        "{} failed to handle an event and has no retries left. The event is dropped.",
        target.function
    ));
}
