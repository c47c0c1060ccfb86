//! The user as their export contains it: every stored attribute except credentials.

use serde::Serialize;

use super::{Exported, State, Uid, User};
use crate::{domain::language::Language, platform::clock::Timestamp};

/// The attributes of a user. Times are in the format of RFC 3339.
#[derive(Serialize)]
pub struct UserRecord<'a> {
    email: &'a str,
    uid: &'a Uid,
    role: &'a str,
    level: u32,
    state: State,
    otp: bool,
    otp_enabled_at: Option<String>,
    totp_failures: u32,
    totp_retry_at: Option<String>,
    recovery_failures: u32,
    recovery_retry_at: Option<String>,
    password_known_at: Option<String>,
    sign_in_notice_at: Option<String>,
    referral_uid: Option<&'a Uid>,
    data: Option<&'a str>,
    language: Option<Language>,
    complaint_reset_at: Option<String>,
    pending_since: Option<String>,
    session_epoch: u64,
    device_epoch: u64,
    created_at: String,
    updated_at: String,
}

impl User<Exported> {
    /// The attributes of the user, without labels.
    #[must_use]
    pub fn record(&self) -> UserRecord<'_> {
        // Exhaustive, so that a new attribute does not compile until it is exported or named here.
        let Self {
            uid,
            email,
            stored_under: _,
            credentials: _,
            state,
            role,
            level,
            otp_last_step: _,
            otp_enabled_at,
            totp_failures,
            totp_retry_at,
            recovery_failures,
            recovery_retry_at,
            password_known_at,
            sign_in_notice_at,
            session_epoch,
            // The export lists the passkeys themselves.
            passkeys: _,
            device_epoch,
            data,
            language,
            referral_uid,
            labels: _,
            complaint_reset,
            pending_since,
            // Only set while the user cannot sign in.
            closed_at: _,
            closed_state: _,
            created_at,
            updated_at,
        } = self;
        let text = |time: &Option<Timestamp>| time.map(Timestamp::rfc3339);
        UserRecord {
            email: email.as_typed(),
            uid,
            role,
            level: *level,
            state: *state,
            otp: self.has_otp(),
            otp_enabled_at: text(otp_enabled_at),
            totp_failures: *totp_failures,
            totp_retry_at: text(totp_retry_at),
            recovery_failures: *recovery_failures,
            recovery_retry_at: text(recovery_retry_at),
            password_known_at: text(password_known_at),
            sign_in_notice_at: text(sign_in_notice_at),
            referral_uid: referral_uid.as_ref(),
            data: data.as_deref(),
            language: *language,
            complaint_reset_at: complaint_reset.as_ref().map(|reset| reset.at.rfc3339()),
            pending_since: text(pending_since),
            session_epoch: *session_epoch,
            device_epoch: *device_epoch,
            created_at: created_at.rfc3339(),
            updated_at: updated_at.rfc3339(),
        }
    }
}
