//! The keys of all items.
//!
//! | table | key | item |
//! | --- | --- | --- |
//! | Users | `USER#<account key>` | the whole user |
//! | | `UID#<uid>` | the account key |
//! | | `PASSKEY#<hash>` | a passkey |
//! | | `KEYS#tokens` | the public keys of session tokens |
//! | | `KEYS#access` | the public keys of access tokens that other services have received |
//! | Grants | `<uid>` / `SESSION#t<time>-<hash>` | a session |
//! | | `<uid>` / `RESET`, `CONFIRM` | the newest one-time code of that kind |
//! | | `<uid>` / `EMAIL_CHANGE` | the newest requested change of the address |
//! | | `<uid>` / `MAIL#<id>` | a mail of the outbox |
//! | | `<uid>` / `ACTIVITY#<id>` | an activity |
//! | | `ERASE#<day>` / `<uid>` | an account that its owner closed on that day |
//! | | `ERASE` / `-` | the last day whose closed accounts are all erased |
//! | | `CEREMONY#<hash>` / `-` | a ceremony of a passkey that succeeded |
//! | | `CEREMONY#<hash>` / `CLONE` | a ceremony that indicated a copy of a passkey |
//! | | `LIMIT#<kind>#<hash>` / `-` or a minute | a counter |
//! | | `NOBODY#<hash>` / `RESET`, `CONFIRM`, `DECOY#<id>` | a decoy for an address without an account |

use super::{Item, items::text};
use crate::{
    domain::{
        email_address::AccountKey,
        one_time_code::Kind,
        passkey::CredentialHash,
        rate_limit::MailKind,
        session::SessionId,
        token_id::TokenId,
        user::{Day, Uid},
    },
    platform::random::sha256_hex,
};

/// Partition key of both tables.
pub(super) const PK: &str = "pk";
/// Sort key of the Grants table.
pub(super) const SK: &str = "sk";
pub(super) const USER: &str = "USER#";
pub(super) const SESSION: &str = "SESSION#";
pub(super) const ACTIVITY: &str = "ACTIVITY#";
pub(super) const PASSKEY: &str = "PASSKEY#";

pub(super) fn user_key(account: &AccountKey) -> Item {
    [(PK.to_owned(), text(user_partition(account)))].into()
}

/// The partition key of a user.
pub(super) fn user_partition(account: &AccountKey) -> String {
    format!("{USER}{}", account.as_str())
}

/// Key of the item that makes a uid unique and leads to the account key.
pub(super) fn uid_key(uid: &Uid) -> Item {
    [(PK.to_owned(), text(format!("UID#{uid}")))].into()
}

/// Key of a passkey.
pub(super) fn passkey_key(hash: &CredentialHash) -> Item {
    [(PK.to_owned(), text(format!("{PASSKEY}{}", hash.as_str())))].into()
}

/// Key of the published public keys of session tokens. Only signing functions may write it.
pub(super) fn published_keys_key() -> Item {
    [(PK.to_owned(), text("KEYS#tokens"))].into()
}

/// Key of the published public keys of access tokens. Only `jwks`, which publishes them, may write
/// it.
pub(super) fn access_keys_key() -> Item {
    [(PK.to_owned(), text("KEYS#access"))].into()
}

pub(super) fn session_key(uid: &Uid, id: &SessionId) -> Item {
    grant_key(uid.as_str(), format!("{SESSION}{}", id.as_str()))
}

/// A user has at most one code of each kind: a new code replaces the previous one.
pub(super) fn code_key(uid: &Uid, kind: Kind) -> Item {
    let kind = match kind {
        Kind::Reset => "RESET",
        Kind::Confirmation => "CONFIRM",
    };
    grant_key(uid.as_str(), kind)
}

/// Key of the newest requested change of the address of a user.
pub(super) fn email_change_key(uid: &Uid) -> Item {
    grant_key(uid.as_str(), "EMAIL_CHANGE")
}

/// Key of a mail in the outbox. The event source mapping of `mail-send` filters on this prefix.
pub(super) fn mail_key(uid: &Uid, id: &str) -> Item {
    grant_key(uid.as_str(), format!("MAIL#{id}"))
}

pub(super) fn activity_key(uid: &Uid, id: &str) -> Item {
    grant_key(uid.as_str(), format!("{ACTIVITY}{id}"))
}

/// Key of the item that lists an account among those that their owners closed on a day.
pub(super) fn closure_key(day: Day, uid: &Uid) -> Item {
    grant_key(&closures_partition(day), uid.as_str())
}

/// The partition key of the accounts that were closed on a day.
pub(super) fn closures_partition(day: Day) -> String {
    format!("ERASE#{day}")
}

/// Key of the progress of the erasing job.
pub(super) fn erasure_progress_key() -> Item {
    grant_key("ERASE", "-")
}

/// Key of a ceremony that succeeded.
pub(super) fn ceremony_key(id: &TokenId) -> Item {
    grant_key(&ceremony_partition(id), "-")
}

/// Key of a ceremony that indicated a copy of a passkey.
pub(super) fn clone_report_key(id: &TokenId) -> Item {
    grant_key(&ceremony_partition(id), "CLONE")
}

fn ceremony_partition(id: &TokenId) -> String {
    format!("CEREMONY#{}", sha256_hex(id.reveal()))
}

/// Key of the counter of consecutive wrong passwords and codes. The account key is hashed, because
/// an address without an account must not be stored.
pub(super) fn failures_key(account: &AccountKey) -> Item {
    grant_key(
        &format!("LIMIT#sign_in#{}", sha256_hex(account.as_str())),
        "-",
    )
}

/// Key of the counter of consecutive wrong passwords of a device.
pub(super) fn device_failures_key(device: &TokenId) -> Item {
    grant_key(
        &format!("LIMIT#device#{}", sha256_hex(device.reveal())),
        "-",
    )
}

/// Key of the counter of consecutive wrong codes of a device.
pub(super) fn device_codes_key(device: &TokenId) -> Item {
    grant_key(
        &format!("LIMIT#device_codes#{}", sha256_hex(device.reveal())),
        "-",
    )
}

/// Key of the log of requests for mails of a kind to an address, or to the tagged addresses of its
/// mailbox.
pub(super) fn mail_log_key(account: &AccountKey, kind: MailKind) -> Item {
    let kind = match kind {
        MailKind::SignUp => "sign_up",
        MailKind::Reset => "reset",
        MailKind::Confirmation => "confirmation",
        MailKind::EmailChange => "email_change",
    };
    let allowance = sha256_hex(account.mail_allowance().as_str());
    grant_key(&format!("LIMIT#{kind}#{allowance}"), "-")
}

/// Key of the log of requests of a user to change the address.
pub(super) fn email_change_log_key(uid: &Uid) -> Item {
    let uid = sha256_hex(uid.as_str());
    grant_key(&format!("LIMIT#email_change_requests#{uid}"), "-")
}

/// Key of the log of changes of the password in the sessions of a user.
pub(super) fn password_change_log_key(uid: &Uid) -> Item {
    let uid = sha256_hex(uid.as_str());
    grant_key(&format!("LIMIT#password_changes#{uid}"), "-")
}

/// Key of the number of requests of a client network in a calendar minute.
pub(super) fn requests_key(network: &str, minute: i64) -> Item {
    grant_key(
        &format!("LIMIT#requests#{}", sha256_hex(network)),
        minute.to_string(),
    )
}

/// Key of the decoy of a mail or an activity.
pub(super) fn decoy_key(account: &AccountKey, id: &str) -> Item {
    grant_key(Uid::decoy(account).as_str(), format!("DECOY#{id}"))
}

fn grant_key(partition: &str, grant: impl Into<String>) -> Item {
    [
        (PK.to_owned(), text(partition)),
        (SK.to_owned(), text(grant)),
    ]
    .into()
}
