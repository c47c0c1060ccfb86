//! The wording of mails and pages: one file per language. A missing text does not compile.
//!
//! `{app}` stands for the name of the application, `{email}` for the address that a mail asks to
//! confirm, `{life}` for the lifetime of a link, `{when}` for the end of a wait ("in 2 minutes").
//! Each text is on one line, so that a search finds it.

use serde::Serialize;
use shared::domain::language::Language;

pub use noun::Noun;

mod de;
mod en;
mod es;
mod fr;
mod noun;
mod pt;
mod ru;
#[cfg(test)]
mod tests;
mod uk;
mod zh;

/// The texts of mails in a language.
#[must_use]
pub fn mails(language: Language) -> &'static Mails {
    match language {
        Language::En => &en::MAILS,
        Language::Ru => &ru::MAILS,
        Language::Uk => &uk::MAILS,
        Language::Es => &es::MAILS,
        Language::Fr => &fr::MAILS,
        Language::De => &de::MAILS,
        Language::Pt => &pt::MAILS,
        Language::Zh => &zh::MAILS,
    }
}

/// The texts of pages in a language. Separate from those of mails, because no function needs both.
#[must_use]
pub fn pages(language: Language) -> &'static Pages {
    match language {
        Language::En => &en::PAGES,
        Language::Ru => &ru::PAGES,
        Language::Uk => &uk::PAGES,
        Language::Es => &es::PAGES,
        Language::Fr => &fr::PAGES,
        Language::De => &de::PAGES,
        Language::Pt => &pt::PAGES,
        Language::Zh => &zh::PAGES,
    }
}

/// The hints of pages in a language.
#[must_use]
pub fn hints(language: Language) -> &'static Hints {
    match language {
        Language::En => &en::HINTS,
        Language::Ru => &ru::HINTS,
        Language::Uk => &uk::HINTS,
        Language::Es => &es::HINTS,
        Language::Fr => &fr::HINTS,
        Language::De => &de::HINTS,
        Language::Pt => &pt::HINTS,
        Language::Zh => &zh::HINTS,
    }
}

/// The texts of mails: those that several kinds share, then a field per kind.
#[cfg_attr(test, derive(Serialize))]
pub struct Mails {
    /// Nouns of a lifetime, in the case that `life` requires.
    #[cfg_attr(test, serde(skip))]
    pub hours: Noun,
    #[cfg_attr(test, serde(skip))]
    pub minutes: Noun,
    pub greeting: &'static str,
    /// How often and how long a link can be used.
    pub life: &'static str,
    /// Shown beside the subject in the list of mails, for mails with a link.
    pub life_preheader: &'static str,
    /// Introduces the address of a link, below its button.
    pub fallback: &'static str,
    /// Label of the time of an event.
    pub time: &'static str,
    /// Label of the device from which a request came.
    pub device: &'static str,
    /// Label of the IP address of that device.
    pub address: &'static str,
    /// Introduces the address of the page on which a reset is requested.
    pub reset: &'static str,
    /// Introduces `IDENTITY_SUPPORT_URL`.
    pub support: &'static str,
    pub password_reset: Link,
    pub confirmation: Link,
    pub email_change: Link,
    pub email_change_requested: Notice,
    pub email_changed: Notice,
    pub password_changed: Notice,
    pub password_changed_otp_removed: Notice,
    pub password_changed_passkeys_removed: Notice,
    pub password_changed_otp_and_passkeys_removed: Notice,
    pub otp_enabled: Notice,
    pub otp_disabled: Notice,
    pub password_known: Notice,
    pub recovery_code_used: Notice,
    pub recovery_codes_replaced: Notice,
    pub passkey_added: Notice,
    pub passkey_removed: Notice,
    pub passkey_clone_suspected: Notice,
    pub account_closed: Notice,
    pub new_sign_in: Notice,
}

/// A mail that asks to follow a link.
#[cfg_attr(test, derive(Serialize))]
pub struct Link {
    pub subject: &'static str,
    pub heading: &'static str,
    pub lead: &'static str,
    /// The button.
    pub action: &'static str,
    /// Introduces the link in the text part.
    pub ask: &'static str,
    /// What to do if the recipient did not cause the mail.
    pub note: &'static str,
}

/// A mail that reports a security event.
#[cfg_attr(test, derive(Serialize))]
pub struct Notice {
    pub subject: &'static str,
    /// Shown beside the subject in the list of mails.
    pub preheader: &'static str,
    pub heading: &'static str,
    pub lead: &'static str,
    pub consequence: &'static str,
    /// What to do if the recipient did not cause the event.
    pub note: &'static str,
}

/// The texts of the pages.
#[cfg_attr(test, derive(Serialize))]
pub struct Pages {
    pub language_name: &'static str,
    pub language: &'static str,
    pub sign_in: &'static str,
    pub sign_up: &'static str,
    pub reset: &'static str,
    pub confirm: &'static str,
    /// Title of the page that confirms a new address, and its button.
    pub email_change: &'static str,
    pub email_change_intro: &'static str,
    pub new_email: &'static str,
    pub change_email: &'static str,
    pub change_email_intro: &'static str,
    pub account: &'static str,
    pub not_found: &'static str,
    pub email: &'static str,
    pub password: &'static str,
    pub old_password: &'static str,
    pub new_password: &'static str,
    pub repeat_password: &'static str,
    pub show_password: &'static str,
    pub code: &'static str,
    pub code_hint: &'static str,
    pub send_mail: &'static str,
    pub set_password: &'static str,
    pub change_password: &'static str,
    pub sign_out: &'static str,
    pub forgotten: &'static str,
    pub remember: &'static str,
    pub reset_intro: &'static str,
    pub reset_ends_sessions: &'static str,
    pub confirm_intro: &'static str,
    pub confirm_password: &'static str,
    pub confirm_again: &'static str,
    /// Names the links to the sections of the account page.
    pub contents: &'static str,
    pub signed_in_as: &'static str,
    pub pending: &'static str,
    pub sessions: &'static str,
    pub end_others: &'static str,
    pub language_intro: &'static str,
    pub save: &'static str,
    pub passkeys: &'static str,
    pub passkeys_intro: &'static str,
    pub passkeys_none: &'static str,
    pub passkeys_unsupported: &'static str,
    pub passkey_sign_in: &'static str,
    pub passkey_name: &'static str,
    pub passkey_add: &'static str,
    pub passkey_rename: &'static str,
    pub passkey_remove: &'static str,
    pub passkey_remove_intro: &'static str,
    pub passkey_offer: &'static str,
    pub not_now: &'static str,
    pub step_up_passkey: &'static str,
    pub second_factor: &'static str,
    pub factor_off: &'static str,
    pub factor_on: &'static str,
    pub factor_begin: &'static str,
    pub factor_scan: &'static str,
    pub factor_picture: &'static str,
    pub factor_key: &'static str,
    pub factor_enable: &'static str,
    pub factor_disable: &'static str,
    pub recovery_codes: &'static str,
    pub recovery_intro: &'static str,
    pub recovery_replace: &'static str,
    pub recovery_replace_intro: &'static str,
    pub copy: &'static str,
    pub print: &'static str,
    pub data_export: &'static str,
    pub data_export_intro: &'static str,
    pub data_download: &'static str,
    pub close_account: &'static str,
    pub close_account_intro: &'static str,
    pub close_account_confirm: &'static str,
    /// The button that closes the account.
    pub close_account_submit: &'static str,
    pub step_up: &'static str,
    pub step_up_intro: &'static str,
    pub step_up_confirm: &'static str,
    pub cancel: &'static str,
    pub captcha_unsupported: &'static str,
    pub needs_script: &'static str,
    pub script: Script,
}

/// The texts of the script of the pages: messages, and texts for error keys.
#[derive(Serialize)]
pub struct Script {
    pub mail_sent: &'static str,
    pub confirmation_sent: &'static str,
    pub signed_up: &'static str,
    pub password_set: &'static str,
    pub confirmed: &'static str,
    pub email_change_sent: &'static str,
    pub email_change_sign_in: &'static str,
    pub email_changed: &'static str,
    #[serde(rename = "email_change.invalid")]
    pub email_change_invalid: &'static str,
    pub session_ended: &'static str,
    pub others_ended: &'static str,
    pub language_saved: &'static str,
    pub factor_enabled: &'static str,
    pub factor_disabled: &'static str,
    pub copied: &'static str,
    pub recovery_replaced: &'static str,
    pub exported: &'static str,
    pub closed: &'static str,
    pub next_code: &'static str,
    pub this_session: &'static str,
    pub last_used: &'static str,
    pub end: &'static str,
    pub passkey: &'static str,
    pub passkey_added: &'static str,
    pub passkey_renamed: &'static str,
    pub passkey_removed: &'static str,
    pub passkey_refused: &'static str,
    pub passkey_expired: &'static str,
    pub passkey_exists: &'static str,
    pub passkey_unsupported: &'static str,
    pub passkey_synced: &'static str,
    pub passkey_on_one_device: &'static str,
    pub passkey_created: &'static str,
    pub passkey_last_used: &'static str,
    pub passkey_unused: &'static str,
    pub rename: &'static str,
    pub remove: &'static str,
    pub required: &'static str,
    pub too_long: &'static str,
    #[serde(rename = "email.invalid")]
    pub email_invalid: &'static str,
    #[serde(rename = "email.taken")]
    pub email_taken: &'static str,
    #[serde(rename = "password.requirements")]
    pub password_requirements: &'static str,
    #[serde(rename = "password.weak")]
    pub password_weak: &'static str,
    #[serde(rename = "password.breached")]
    pub password_breached: &'static str,
    #[serde(rename = "identity.session.invalid_params")]
    pub identity_session_invalid_params: &'static str,
    #[serde(rename = "identity.session.banned")]
    pub identity_session_banned: &'static str,
    #[serde(rename = "identity.session.deleted")]
    pub identity_session_deleted: &'static str,
    #[serde(rename = "identity.session.not_active")]
    pub identity_session_not_active: &'static str,
    #[serde(rename = "identity.session.missing_otp")]
    pub identity_session_missing_otp: &'static str,
    #[serde(rename = "identity.session.invalid_otp")]
    pub identity_session_invalid_otp: &'static str,
    #[serde(rename = "identity.password.user_doesnt_exist")]
    pub identity_password_user_doesnt_exist: &'static str,
    #[serde(rename = "identity.user.passwords_doesnt_match")]
    pub identity_user_passwords_doesnt_match: &'static str,
    #[serde(rename = "identity.user.invalid_password")]
    pub identity_user_invalid_password: &'static str,
    #[serde(rename = "jwt.decode_and_verify")]
    pub jwt_decode_and_verify: &'static str,
    #[serde(rename = "identity.user.utilized_token")]
    pub identity_user_utilized_token: &'static str,
    #[serde(rename = "identity.user.active_or_doesnt_exist")]
    pub identity_user_active_or_doesnt_exist: &'static str,
    #[serde(rename = "record.not_found")]
    pub record_not_found: &'static str,
    #[serde(rename = "resource.password.prev_pass_not_correct")]
    pub resource_password_prev_pass_not_correct: &'static str,
    #[serde(rename = "resource.password.no_change_provided")]
    pub resource_password_no_change_provided: &'static str,
    #[serde(rename = "resource.user.no_change_provided")]
    pub resource_user_no_change_provided: &'static str,
    #[serde(rename = "resource.otp.already_enabled")]
    pub resource_otp_already_enabled: &'static str,
    #[serde(rename = "resource.otp.not_enabled")]
    pub resource_otp_not_enabled: &'static str,
    #[serde(rename = "resource.otp.email_not_confirmed")]
    pub resource_otp_email_not_confirmed: &'static str,
    #[serde(rename = "resource.passkey.limit")]
    pub resource_passkey_limit: &'static str,
    #[serde(rename = "resource.passkey.invalid_credential")]
    pub resource_passkey_invalid_credential: &'static str,
    #[serde(rename = "identity.captcha.required")]
    pub identity_captcha_required: &'static str,
    #[serde(rename = "identity.captcha.mandatory_fields")]
    pub identity_captcha_mandatory_fields: &'static str,
    #[serde(rename = "identity.captcha.verification_failed")]
    pub identity_captcha_verification_failed: &'static str,
    #[serde(rename = "request.too_many_attempts")]
    pub request_too_many_attempts: &'static str,
    #[serde(rename = "authz.invalid_session")]
    pub authz_invalid_session: &'static str,
    #[serde(rename = "authz.client_session_mismatch")]
    pub authz_client_session_mismatch: &'static str,
    #[serde(rename = "authz.user_not_active")]
    pub authz_user_not_active: &'static str,
    pub authz: &'static str,
    pub unavailable: &'static str,
}

/// The hints of pages: the strength of a new password, the devices of sessions, and ways out of an
/// error.
#[derive(Serialize)]
pub struct Hints {
    /// Introduces the level of a new password.
    pub strength: &'static str,
    /// The levels of zxcvbn, 0 to 4, as they follow `strength`.
    pub levels: [&'static str; 5],
    #[serde(skip)]
    pub keyboard: &'static str,
    #[serde(skip)]
    pub repeats: &'static str,
    #[serde(skip)]
    pub common: &'static str,
    #[serde(skip)]
    pub sequences: &'static str,
    #[serde(skip)]
    pub dates: &'static str,
    #[serde(skip)]
    pub one_word: &'static str,
    #[serde(skip)]
    pub names: &'static str,
    #[serde(skip)]
    pub more_words: &'static str,
    #[serde(skip)]
    pub capitals: &'static str,
    #[serde(skip)]
    pub reversed: &'static str,
    #[serde(skip)]
    pub substitutions: &'static str,
    /// A `{browser}` and a `{system}`, such as "Chrome on Windows".
    pub device: &'static str,
    pub unknown_device: &'static str,
    #[serde(skip)]
    pub only_session: &'static str,
    #[serde(skip)]
    pub not_found: &'static str,
    pub new_link: &'static str,
    #[serde(skip)]
    pub retry: &'static str,
}
