//! `export`: `limit`, `after`, `plain_otp_secrets` (without it, the OTP secrets in the lines are
//! encrypted). Returns `lines`, their `count`, `unopened`: the OTP secrets that could not be decrypted
//! and stay encrypted, with the reason; and `next`: the value of `after` for the next lines, or null.

use serde_json::{Value, json};
use shared::{
    Error,
    domain::user::{OtpField, OtpSecret, StoredOtpSecret, User},
    platform::clock::Timestamp,
};

use super::{
    administration::Users,
    fields::{Failure, Fields, Refusal},
    otp_secrets::{seal, unopened, value_of},
    user_record::write,
};

/// Default number of users in a response.
const DEFAULT_LIMIT: usize = 1000;
/// Maximum number of users in a response.
const MAX_LIMIT: usize = 5000;
/// Maximum size of the lines as a JSON string, in bytes. Lambda limits a response to 6 MB.
const MAX_BYTES: usize = 4_500_000;
/// Items per scan. Half of them are `UID#` items.
const PAGE: i32 = 500;

impl Users {
    pub(super) async fn export(
        &self,
        mut fields: Fields,
        now: Timestamp,
    ) -> Result<Value, Failure> {
        let limit = fields.number("limit")?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Refusal::invalid("limit", format!("must be from 1 to {MAX_LIMIT}")).into());
        }
        let mut after = fields.scan_key()?;
        let is_plain = fields.flag("plain_otp_secrets")?.unwrap_or(false);
        fields.finish()?;
        let mut failed = Vec::new();
        let mut lines = String::new();
        let mut count = 0;
        let mut bytes = 0;
        loop {
            let (page, next) = self
                .administration
                .scan_users(after.as_deref(), PAGE)
                .await?;
            for mut stored in page {
                let mut kept = self
                    .convert_secrets(&mut stored.user, is_plain, now)
                    .await?;
                let line = write(&stored).map_err(Error::internal)? + "\n";
                bytes += serde_json::to_string(&line).map_err(Error::internal)?.len();
                if count == limit || (count > 0 && bytes > MAX_BYTES) {
                    return Ok(
                        json!({ "lines": lines, "count": count, "unopened": failed, "next": after }),
                    );
                }
                lines += &line;
                failed.append(&mut kept);
                count += 1;
                after = Some(stored.key);
            }
            let Some(next) = next else {
                return Ok(
                    json!({ "lines": lines, "count": count, "unopened": failed, "next": null }),
                );
            };
            after = Some(next);
        }
    }

    /// Decrypts or encrypts the OTP secrets of a line. Nothing is stored. Returns the values that
    /// do not open; they stay encrypted, so that the line loses nothing.
    async fn convert_secrets(
        &self,
        user: &mut User,
        is_plain: bool,
        now: Timestamp,
    ) -> Result<Vec<Value>, Failure> {
        let mut failed = Vec::new();
        for field in OtpField::ALL {
            let converted = match (user.stored_otp_secret(field), is_plain) {
                (Some(StoredOtpSecret::Plain(secret)), false) => {
                    let keys = self.otp_secrets.keys(now).await?;
                    StoredOtpSecret::Sealed(seal(&keys, &user.uid, field, secret)?)
                }
                (Some(StoredOtpSecret::Sealed(sealed)), true) => {
                    let keys = self.otp_secrets.keys(now).await?;
                    match keys.open(sealed, field.place(&user.uid)) {
                        Ok(text) => StoredOtpSecret::Plain(OtpSecret::opened(text)),
                        Err(error) => {
                            failed.push(unopened(&user.uid, field, &error));
                            continue;
                        }
                    }
                }
                (None, _)
                | (Some(StoredOtpSecret::Plain(_)), true)
                | (Some(StoredOtpSecret::Sealed(_)), false) => continue,
            };
            *value_of(user, field) = Some(converted);
        }
        Ok(failed)
    }
}
