//! The JSON of a user in exports, and in imports from Latchkey or Barong.

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use shared::{
    domain::{
        email_address::EmailAddress,
        language::Language,
        password::PasswordHash,
        user::{Credentials, Label, NewUser, OtpSecret, State, StoredOtpSecret, Uid, User},
    },
    platform::{clock::Timestamp, sealing::Sealed},
    store::StoredUser,
};

use super::fields::{Fields, Refusal};

/// Maximum length of an address in characters, as at sign-up.
const EMAIL_LIMIT: usize = 254;
/// Maximum size of a user in bytes. DynamoDB limits an item to 400 KB.
const LIMIT: usize = 64 * 1024;
/// Times of a user and of a label.
const TIMES: [&str; 8] = [
    "created_at",
    "updated_at",
    "otp_enabled_at",
    "totp_retry_at",
    "recovery_retry_at",
    "password_known_at",
    "pending_since",
    "closed_at",
];
/// Columns of Barong's database, and attributes of an export, that are ignored.
const IGNORED_COLUMNS: [&str; 9] = [
    "id",
    "user_id",
    "referral_id",
    "description",
    "complaint_reset",
    "pending_since",
    "closed_at",
    "closed_state",
    "passkeys",
];

/// A user as read from JSON.
#[derive(Debug)]
pub struct UserRecord {
    pub user: User,
    /// The state, which may be one that [`State`] does not know.
    pub state: String,
    /// A warning about a value that could not be stored.
    pub note: Option<&'static str>,
}

impl UserRecord {
    /// Reads a user. The password hash is `password_hash` or, as in Barong, `password_digest`. A
    /// user without a uid gets a generated one.
    pub fn read(mut fields: Fields, uid_prefix: &str, now: Timestamp) -> Result<Self, Refusal> {
        ignore_columns(&mut fields);
        let email = email(&fields.required("email")?)?;
        let password_hash = password_hash(&mut fields)?;
        let referral_uid = uid(&mut fields, "referral_uid")?;
        let data = data(&mut fields)?;
        let language = language(&mut fields)?;
        let new = User::new(
            NewUser {
                email,
                password_hash,
                referral_uid,
                data,
                language,
            },
            uid_prefix,
            now,
        );
        let uid = uid(&mut fields, "uid")?;
        let state = state(&mut fields)?;
        let created_at = time(&mut fields, "created_at")?.unwrap_or(now);
        let updated_at = time(&mut fields, "updated_at")?.unwrap_or(created_at);
        let labels = fields.list("labels")?;
        let otp = fields.flag("otp")?;
        let otp_secret = secret(&mut fields, "otp_secret")?.filter(|_| otp != Some(false));
        let recovery_codes = recovery_codes(&mut fields)?;
        let otp_last_step = fields.number("otp_last_step")?;
        let has_otp = otp_secret.is_some();
        let user = User {
            uid: uid.unwrap_or(new.uid),
            email: new.email,
            stored_under: None,
            credentials: Credentials {
                password_hash: new.credentials.password_hash,
                otp_secret,
                otp_pending_secret: secret(&mut fields, "otp_pending_secret")?.filter(|_| !has_otp),
                otp_recovery_codes: if has_otp { recovery_codes } else { Vec::new() },
            },
            state: serde_json::from_value(json!(state)).unwrap_or(State::Other),
            role: role_of(&mut fields)?.unwrap_or(new.role),
            level: fields.number("level")?.unwrap_or(new.level),
            otp_last_step: has_otp.then_some(otp_last_step.unwrap_or(0)),
            otp_enabled_at: time(&mut fields, "otp_enabled_at")?.filter(|_| has_otp),
            totp_failures: fields.number("totp_failures")?.unwrap_or_default(),
            totp_retry_at: time(&mut fields, "totp_retry_at")?,
            recovery_failures: fields.number("recovery_failures")?.unwrap_or_default(),
            recovery_retry_at: time(&mut fields, "recovery_retry_at")?,
            password_known_at: time(&mut fields, "password_known_at")?,
            sign_in_notice_at: time(&mut fields, "sign_in_notice_at")?,
            // An imported user has no sessions; the epoch is stored so that an export equals the
            // import.
            session_epoch: fields.number("session_epoch")?.unwrap_or(new.session_epoch),
            // Passkeys are bound to the domain of the stack, and are not exported.
            passkeys: Vec::new(),
            // A device token of the same uid that was invalid stays invalid.
            device_epoch: fields.number("device_epoch")?.unwrap_or(new.device_epoch),
            data: new.data,
            language: new.language,
            referral_uid: new.referral_uid,
            labels: labels
                .into_iter()
                .map(|value| label(value, created_at, updated_at))
                .filter(|label| !label.as_ref().is_ok_and(Label::is_derived))
                .collect::<Result<_, _>>()?,
            complaint_reset: None,
            // The address must be confirmed within the same time as after a sign-up.
            pending_since: (state == "pending" && created_at < now).then_some(now),
            // An imported account is not erased.
            closed_at: None,
            closed_state: None,
            created_at,
            updated_at,
        };
        fields.finish()?;
        if serde_json::to_string(&user).is_ok_and(|text| text.len() > LIMIT) {
            return Err(Refusal::without_field(
                "too_large",
                "the user is larger than 64 KiB",
            ));
        }
        let lacks_secret = otp == Some(true) && user.credentials.otp_secret.is_none();
        Ok(Self {
            user,
            state,
            note: lacks_secret
                .then_some("the second factor is off, because the line has no otp_secret"),
        })
    }
}

/// The JSON of a user, without a line end. Times are in the format of RFC 3339.
pub fn write(stored: &StoredUser) -> Result<String, serde_json::Error> {
    let mut line = serde_json::to_value(&stored.user)?;
    line["state"] = json!(stored.state);
    if let Some(line) = line.as_object_mut() {
        line.remove("passkeys");
    }
    format_times(&mut line);
    if let Some(Value::Array(labels)) = line.get_mut("labels") {
        labels.iter_mut().for_each(format_times);
    }
    serde_json::to_string(&line)
}

fn format_times(value: &mut Value) {
    for name in TIMES {
        if let Some(seconds) = value[name].as_i64() {
            value[name] = json!(Timestamp::from_seconds(seconds).rfc3339());
        }
    }
}

fn ignore_columns(fields: &mut Fields) {
    for name in IGNORED_COLUMNS {
        fields.any(name);
    }
}

fn email(text: &str) -> Result<EmailAddress, Refusal> {
    let email = EmailAddress::parse(text)
        .ok()
        .filter(|_| text.chars().count() <= EMAIL_LIMIT);
    email.ok_or_else(|| {
        Refusal::invalid(
            "email",
            format!("must be an e-mail address of at most {EMAIL_LIMIT} characters"),
        )
    })
}

fn password_hash(fields: &mut Fields) -> Result<PasswordHash, Refusal> {
    let (name, text) = match (
        fields.text("password_hash")?,
        fields.text("password_digest")?,
    ) {
        (Some(hash), None) => ("password_hash", hash),
        (None, Some(digest)) => ("password_digest", digest),
        (None, None) => return Err(Refusal::of("password_hash", "missing", "required")),
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid(
                "password_digest",
                "cannot be combined with password_hash",
            ));
        }
    };
    PasswordHash::import(&text).map_err(|_| {
        Refusal::invalid(
            name,
            "must be a hash of bcrypt (cost 4 to 14) or argon2id (v=19, m up to 524288, t and p up to 16)",
        )
    })
}

fn uid(fields: &mut Fields, name: &'static str) -> Result<Option<Uid>, Refusal> {
    let Some(text) = fields.text(name)? else {
        return Ok(None);
    };
    Uid::parse(&text).map(Some).ok_or_else(|| {
        Refusal::invalid(
            name,
            "must be two to six letters and ten hexadecimal digits",
        )
    })
}

/// `role`
pub fn role_of(fields: &mut Fields) -> Result<Option<String>, Refusal> {
    let role = fields.text("role")?;
    let is_valid = |role: &str| {
        role.len() <= 64
            && role
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    if role.as_deref().is_none_or(is_valid) {
        Ok(role)
    } else {
        Err(Refusal::invalid(
            "role",
            "must be 1 to 64 letters, digits, underscores and hyphens",
        ))
    }
}

fn state(fields: &mut Fields) -> Result<String, Refusal> {
    let state = fields
        .text("state")?
        .unwrap_or_else(|| "pending".to_owned());
    let is_valid = state.len() <= 32
        && state.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte)
        });
    is_valid.then_some(state).ok_or_else(|| {
        Refusal::invalid(
            "state",
            "must be 1 to 32 lower-case letters, digits, underscores and hyphens, such as active",
        )
    })
}

/// A string that contains JSON, or any other JSON value.
fn data(fields: &mut Fields) -> Result<Option<String>, Refusal> {
    match fields.any("data") {
        None => Ok(None),
        Some(Value::String(text)) if serde_json::from_str::<IgnoredAny>(&text).is_ok() => {
            Ok(Some(text))
        }
        Some(Value::String(_)) => Err(Refusal::invalid("data", "a string must contain JSON")),
        Some(value) => Ok(Some(value.to_string())),
    }
}

/// The language of the sign-up.
fn language(fields: &mut Fields) -> Result<Option<Language>, Refusal> {
    let Some(text) = fields.text("language")? else {
        return Ok(None);
    };
    let language = Language::ALL.into_iter().find(|one| one.as_str() == text);
    language.map(Some).ok_or_else(|| {
        let known = Language::ALL.map(Language::as_str).join(", ");
        Refusal::invalid("language", format!("must be one of {known}"))
    })
}

/// RFC 3339, `MySQL`'s `2026-01-31 23:59:59` in UTC, or seconds since the Unix epoch.
fn time(fields: &mut Fields, name: &'static str) -> Result<Option<Timestamp>, Refusal> {
    let moment = match fields.any(name) {
        None => return Ok(None),
        Some(Value::String(text)) => Timestamp::parse_rfc3339(&text)
            .or_else(|| Timestamp::parse_rfc3339(&format!("{}Z", text.replacen(' ', "T", 1)))),
        Some(value) => value.as_i64().map(Timestamp::from_seconds),
    };
    // A time that cannot be formatted is out of range.
    let moment = moment.filter(|moment| !moment.rfc3339().is_empty());
    moment
        .map(Some)
        .ok_or_else(|| Refusal::invalid(name, "must be a time such as 2026-01-31T23:59:59Z"))
}

/// A sealed or a plain secret.
fn secret(fields: &mut Fields, name: &'static str) -> Result<Option<StoredOtpSecret>, Refusal> {
    let Some(text) = fields.text(name)? else {
        return Ok(None);
    };
    if Sealed::is_sealed(&text) {
        return Ok(Some(StoredOtpSecret::Sealed(Sealed::stored(text))));
    }
    OtpSecret::import(&text)
        .map(|secret| Some(StoredOtpSecret::Plain(secret)))
        .ok_or_else(|| {
            Refusal::invalid(
                name,
                "must be base32 (RFC 4648) of at least ten bytes, or the encrypted value of an export",
            )
        })
}

/// The hashes of the recovery codes, without duplicates. They must share one salt, because the
/// check of a code computes only one hash.
fn recovery_codes(fields: &mut Fields) -> Result<Vec<PasswordHash>, Refusal> {
    const NAME: &str = "otp_recovery_codes";
    let mut codes: Vec<String> = fields
        .list(NAME)?
        .into_iter()
        .map(|code| {
            code.as_str()
                .filter(|code| code.starts_with("$argon2id$"))
                .map(ToOwned::to_owned)
        })
        .collect::<Option<_>>()
        .ok_or_else(|| Refusal::invalid(NAME, "must be an array of argon2id hashes"))?;
    codes.sort();
    codes.dedup();
    let start = |code: &String| code.rsplit_once('$').map(|(start, _)| start.to_owned());
    if codes
        .windows(2)
        .any(|pair| start(&pair[0]) != start(&pair[1]))
    {
        return Err(Refusal::invalid(NAME, "all hashes must have the same salt"));
    }
    codes
        .iter()
        .map(|code| PasswordHash::import(code))
        .collect::<Result<_, _>>()
        .map_err(|_| Refusal::invalid(NAME, "contains an invalid argon2id hash"))
}

fn label(value: Value, created_at: Timestamp, updated_at: Timestamp) -> Result<Label, Refusal> {
    let within = |refusal: Refusal| {
        let field = refusal
            .field
            .map_or_else(|| "labels".to_owned(), |field| format!("labels.{field}"));
        Refusal {
            field: Some(field),
            ..refusal
        }
    };
    let read = |mut fields: Fields| {
        ignore_columns(&mut fields);
        let label = Label {
            key: fields.required("key")?,
            value: fields.required("value")?,
            scope: fields
                .text("scope")?
                .unwrap_or_else(|| "private".to_owned()),
            created_at: time(&mut fields, "created_at")?.unwrap_or(created_at),
            updated_at: time(&mut fields, "updated_at")?.unwrap_or(updated_at),
        };
        fields.finish()?;
        Ok(label)
    };
    let fields = Fields::of(value)
        .ok_or_else(|| Refusal::invalid("labels", "must be an array of objects"))?;
    read(fields).map_err(within)
}
