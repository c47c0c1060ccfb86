//! Every item key.
//!
//! | table | key | item |
//! | --- | --- | --- |
//! | Users | `USER#<account key>` | the whole user |
//! | | `UID#<uid>` | the account key |
//! | Grants | `<uid>` / `SESSION#<hash>` | a session |
//! | | `<uid>` / `RESET`, `CONFIRM` | the newest code of its kind |
//! | | `<uid>` / `MAIL#<id>` | a mail of the outbox |
//! | | `<uid>` / `ACTIVITY#<id>` | an activity |
//! | | `LIMIT#<kind>#<hash>` / `-` or a minute | a counter |
//! | | `NOBODY#<hash>` / `DECOY#<id>` | a write for an address without an account, which takes the time of a real one |

use super::{Item, items::text};
use crate::{domain::one_time_code::Kind, platform::random::sha256_hex};

/// The partition key of both tables.
pub(super) const PK: &str = "pk";
/// The sort key of the grants.
pub(super) const SK: &str = "sk";
/// Prefix of the keys of users.
pub(super) const USER: &str = "USER#";
/// Prefix of the sort keys of sessions.
pub(super) const SESSION: &str = "SESSION#";
/// Prefix of the sort keys of activities.
pub(super) const ACTIVITY: &str = "ACTIVITY#";

/// Key of a user's item.
pub(super) fn user_key(user: &str) -> Item {
    [(PK.to_owned(), text(format!("{USER}{user}")))].into()
}

/// Key of the item that makes a uid unique and findable.
pub(super) fn uid_key(uid: &str) -> Item {
    [(PK.to_owned(), text(format!("UID#{uid}")))].into()
}

/// Key of a session. Its id is a secret, so the hash stands for it.
pub(super) fn session_key(uid: &str, id_hash: &str) -> Item {
    grant_key(uid, format!("{SESSION}{id_hash}"))
}

/// Key of the newest code of its kind of a user.
pub(super) fn code_key(uid: &str, kind: Kind) -> Item {
    grant_key(
        uid,
        match kind {
            Kind::Reset => "RESET",
            Kind::Confirmation => "CONFIRM",
        },
    )
}

/// Key of a mail in the outbox. The stream of the table hands what is stored under it to the
/// function that sends.
pub(super) fn mail_key(uid: &str, id: &str) -> Item {
    grant_key(uid, format!("MAIL#{id}"))
}

/// Key of an activity.
pub(super) fn activity_key(uid: &str, id: &str) -> Item {
    grant_key(uid, format!("{ACTIVITY}{id}"))
}

/// Key of the wrong attempts in a row at an account's secrets. Addresses are hashed: those that
/// have no account are nobody's to keep.
pub(super) fn failures_key(user: &str) -> Item {
    grant_key(&format!("LIMIT#sign_in#{}", sha256_hex(user)), "-")
}

/// Key of the log of mails of a kind to an address.
pub(super) fn mail_log_key(user: &str, kind: Kind) -> Item {
    let kind = match kind {
        Kind::Reset => "reset",
        Kind::Confirmation => "confirmation",
    };
    grant_key(&format!("LIMIT#{kind}#{}", sha256_hex(user)), "-")
}

/// Key of the requests that a client network sent within a minute.
pub(super) fn requests_key(network: &str, minute: i64) -> Item {
    grant_key(
        &format!("LIMIT#requests#{}", sha256_hex(network)),
        minute.to_string(),
    )
}

/// The uid that stands for an address without an account.
pub(super) fn decoy_uid(address: &str) -> String {
    format!("NOBODY#{}", sha256_hex(address))
}

/// Key of a write for an address without an account.
pub(super) fn decoy_key(address: &str, id: &str) -> Item {
    grant_key(&decoy_uid(address), format!("DECOY#{id}"))
}

fn grant_key(uid: &str, grant: impl Into<String>) -> Item {
    [(PK.to_owned(), text(uid)), (SK.to_owned(), text(grant))].into()
}
