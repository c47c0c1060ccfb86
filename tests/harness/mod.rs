//! Shared by the tests: the stack, an HTTP client, users, mails and stored items.

mod access;
mod browser;
pub mod captcha;
mod client;
mod contract;
mod counters;
mod event;
mod fault;
mod faults;
mod forge;
pub mod gateway;
mod items;
mod lambda;
mod mailbox;
mod meter;
mod operations;
pub mod otp;
pub mod passkeys;
pub mod pem;
mod people;
mod processes;
mod program;
mod stack;
mod template;
mod virtual_authenticator;

use std::time::Duration;

pub use access::{bearer_of, kid, verified};
pub use browser::Browser;
pub use captcha::ExternalServices;
pub use client::{Answer, Request, all_at_once};
pub use contract::CONTRACT;
pub use event::event;
pub use fault::Fault;
pub use faults::Faulty;
pub use forge::{claims, forgeries, jti};
pub use items::{Item, Snapshot, number, only_changed, session_id, text};
pub use lambda::Lambda;
pub use mailbox::{Mail, mails_of};
pub use meter::{Meter, Units};
pub use operations::{BODY, OPERATIONS, Operation, borrowed, signed_in_operations};
pub use people::{PASSWORD, USER_NAMES, User};
pub use processes::{children_of, signal};
pub use program::{Folder, Program, command};
pub use stack::{Latchkey, binaries, latchkey, spawn, tables_at};
pub use template::{Function, Template, workspace};

/// Limit of every wait in a test.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    shared::platform::clock::now().seconds()
}

/// Polls until the closure returns a value.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    eventually_or(what, ask, String::new).await
}

/// The same. A timeout also reports what the second closure returns.
pub async fn eventually_or<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
    explain: impl FnOnce() -> String,
) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            stack::no_call_was_denied();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, asking)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {TIMEOUT:?}\n{}", explain()))
}
