//! `reseal`: encrypts plain OTP secrets, and encrypts those under other keys again under the current
//! key. `apply` (without it, nothing is changed), `after`. Returns `resealed`, the number of values
//! that were or can be encrypted; `current`, the current key version; `versions`, the number of
//! values per key version after that, with `plain text` for plain ones; `failed`, the values
//! that could not be encrypted, with the reason; and `next`: the value of `after` for the next users,
//! or null.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::{
    Error,
    domain::user::{OtpField, OtpSecret, StoredOtpSecret, User},
    platform::{clock::Timestamp, retry::Backoff, sealing::DataKeys},
    store::{Outcome, SealedFields},
};

use super::{
    administration::Users,
    fields::{Failure, Fields, Refusal},
    otp_secrets::{seal, unopened},
};

/// Items per invocation, so that all of them can be written within its timeout.
const PAGE: i32 = 500;
/// The member that counts plain values. No key version contains a space.
const PLAIN: &str = "plain text";
/// The member that counts values of an unknown format.
const UNKNOWN: &str = "unknown format";

/// The results of a page.
#[derive(Default)]
struct Report {
    resealed: u64,
    versions: BTreeMap<String, u64>,
    failed: Vec<Value>,
}

impl Report {
    /// Counts the values of a user as stored.
    fn count(&mut self, user: &User) {
        for stored in OtpField::ALL
            .into_iter()
            .filter_map(|field| user.stored_otp_secret(field))
        {
            *self
                .versions
                .entry(version_of(stored).to_owned())
                .or_default() += 1;
        }
    }
}

fn version_of(stored: &StoredOtpSecret) -> &str {
    match stored {
        StoredOtpSecret::Plain(_) => PLAIN,
        StoredOtpSecret::Sealed(sealed) => sealed.key_version().unwrap_or(UNKNOWN),
    }
}

/// The new values of a user, and their number. A value that does not open is reported and kept.
fn plan(
    user: &User,
    keys: &DataKeys,
    failed: &mut Vec<Value>,
) -> Result<(SealedFields, u64), Error> {
    let mut fields = SealedFields::default();
    let mut count = 0;
    for field in OtpField::ALL {
        let Some(stored) = user.stored_otp_secret(field) else {
            continue;
        };
        let secret = match stored {
            StoredOtpSecret::Plain(secret) => secret.clone(),
            StoredOtpSecret::Sealed(sealed) => match keys.open(sealed, field.place(&user.uid)) {
                Ok(_) if sealed.key_version() == Some(keys.current()) => continue,
                Ok(text) => OtpSecret::opened(text),
                Err(error) => {
                    failed.push(unopened(&user.uid, field, &error));
                    continue;
                }
            },
        };
        fields.set(field, seal(keys, &user.uid, field, &secret)?);
        count += 1;
    }
    Ok((fields, count))
}

impl Users {
    /// Encrypts the OTP secrets of one page, each user in one write. Values under the current key
    /// are not written again, so a run can be interrupted and repeated.
    pub(super) async fn reseal(
        &self,
        mut fields: Fields,
        now: Timestamp,
    ) -> Result<Value, Failure> {
        let apply = fields.flag("apply")?.unwrap_or(false);
        let after = fields.text("after")?;
        // A page may end with an item of any kind.
        if after.as_ref().is_some_and(|after| !after.contains('#')) {
            return Err(
                Refusal::invalid("after", "must be the `next` of an earlier reseal").into(),
            );
        }
        fields.finish()?;
        let keys = self.otp_secrets.keys(now).await?;
        let (page, next) = self
            .administration
            .scan_users(after.as_deref(), PAGE)
            .await?;
        let mut report = Report::default();
        for stored in page {
            self.reseal_user(stored.user, &keys, apply, now, &mut report)
                .await?;
        }
        let Report {
            resealed,
            versions,
            failed,
        } = report;
        tracing::info!(
            action = "reseal",
            apply,
            resealed,
            failed = failed.len(),
            "done"
        );
        Ok(json!({
            "resealed": resealed,
            "current": keys.current(),
            "versions": versions,
            "failed": failed,
            "next": next,
        }))
    }

    async fn reseal_user(
        &self,
        mut user: User,
        keys: &DataKeys,
        apply: bool,
        now: Timestamp,
        report: &mut Report,
    ) -> Result<(), Error> {
        let mut backoff = Backoff::start();
        loop {
            let mut failed = Vec::new();
            let (new, count) = plan(&user, keys, &mut failed)?;
            let written =
                !apply || self.administration.reseal_user(&user, &new).await? == Outcome::Written;
            if written {
                report.resealed += count;
                report.failed.append(&mut failed);
                if apply {
                    let credentials = &mut user.credentials;
                    if let Some(secret) = new.secret {
                        credentials.otp_secret = Some(StoredOtpSecret::Sealed(secret));
                    }
                    if let Some(pending) = new.pending {
                        credentials.otp_pending_secret = Some(StoredOtpSecret::Sealed(pending));
                    }
                }
                report.count(&user);
                return Ok(());
            }
            let has_time = backoff.wait().await;
            let Some(current) = self.administration.find_user_by_uid(&user.uid, now).await? else {
                return Ok(());
            };
            if !has_time {
                report.failed.push(
                    json!({ "uid": user.uid, "reason": "changed by other requests at every attempt" }),
                );
                report.count(&current);
                return Ok(());
            }
            user = current;
        }
    }
}
