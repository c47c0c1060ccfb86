//! A user as a line of an export, or of an import from here or from Barong.

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use shared::{
    domain::{
        email_address::EmailAddress,
        password::PasswordHash,
        user::{Label, NewUser, OtpSecret, State, User, has_uid_form},
    },
    platform::clock::Timestamp,
    store::StoredUser,
};

use super::fields::{Fields, Refusal};

/// Characters of an address at the most, as at a sign-up.
const EMAIL_LIMIT: usize = 254;
/// Bytes of a line at the most: room for anything that is of use, and well below what DynamoDB
/// takes.
const LIMIT: usize = 64 * 1024;
/// Times of a user and of a label.
const TIMES: [&str; 2] = ["created_at", "updated_at"];
/// Columns of Barong that only its own database knows what to do with.
const OF_BARONG_ALONE: [&str; 4] = ["id", "user_id", "referral_id", "description"];

/// What a line says.
#[derive(Debug)]
pub struct UserRecord {
    pub user: User,
    /// The state, which may be one that this service has no name for.
    pub state: String,
    /// What the line says and could not be kept.
    pub note: Option<&'static str>,
}

impl UserRecord {
    /// Reads a user. A password's hash is `password_hash` or, as in Barong, `password_digest`. A
    /// user without a uid gets one.
    pub fn read(mut fields: Fields, uid_prefix: &str, now: Timestamp) -> Result<Self, Refusal> {
        forget(&mut fields);
        let email = email(&fields.required("email")?)?;
        let password_hash = password_hash(&mut fields)?;
        let referral_uid = uid(&mut fields, "referral_uid")?;
        let data = data(&mut fields)?;
        let new = User::new(
            NewUser {
                email,
                password_hash,
                referral_uid,
                data,
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
        let is_on = otp_secret.is_some();
        let user = User {
            uid: uid.unwrap_or(new.uid),
            email: new.email,
            password_hash: new.password_hash,
            state: serde_json::from_value(json!(state)).unwrap_or(State::Other),
            role: role_of(&mut fields)?.unwrap_or(new.role),
            level: fields.number("level")?.unwrap_or(new.level),
            otp_secret,
            otp_last_step: otp_last_step.filter(|_| is_on),
            otp_pending_secret: secret(&mut fields, "otp_pending_secret")?.filter(|_| !is_on),
            otp_recovery_codes: if is_on { recovery_codes } else { Vec::new() },
            // Nobody has a session of it here; it is kept so that an export equals what was
            // imported.
            session_epoch: fields.number("session_epoch")?.unwrap_or(new.session_epoch),
            data: new.data,
            referral_uid: new.referral_uid,
            labels: labels
                .into_iter()
                .map(|value| label(value, created_at, updated_at))
                .collect::<Result<_, _>>()?,
            created_at,
            updated_at,
        };
        fields.finish()?;
        if serde_json::to_string(&user).is_ok_and(|text| text.len() > LIMIT) {
            return Err(Refusal::whole("too_large", "longer than 64 KiB"));
        }
        let is_lost = otp == Some(true) && user.otp_secret.is_none();
        Ok(Self {
            user,
            state,
            note: is_lost
                .then_some("the second factor is off, for its secret (otp_secret) was not given"),
        })
    }
}

/// The line of a user, without the end of the line. Times are RFC 3339.
pub fn write(stored: &StoredUser) -> Result<String, serde_json::Error> {
    let mut line = serde_json::to_value(&stored.user)?;
    line["state"] = json!(stored.state);
    spell_times(&mut line);
    if let Some(Value::Array(labels)) = line.get_mut("labels") {
        labels.iter_mut().for_each(spell_times);
    }
    serde_json::to_string(&line)
}

fn spell_times(value: &mut Value) {
    for name in TIMES {
        if let Some(seconds) = value[name].as_i64() {
            value[name] = json!(Timestamp::from_seconds(seconds).rfc3339());
        }
    }
}

fn forget(fields: &mut Fields) {
    for name in OF_BARONG_ALONE {
        fields.any(name);
    }
}

fn email(text: &str) -> Result<EmailAddress, Refusal> {
    let email = EmailAddress::parse(text)
        .ok()
        .filter(|_| text.chars().count() <= EMAIL_LIMIT);
    email.ok_or_else(|| Refusal::invalid("email", "not an e-mail address"))
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
                "not together with password_hash",
            ));
        }
    };
    PasswordHash::import(&text).map_err(|_| {
        Refusal::invalid(
            name,
            "neither bcrypt (cost 4 to 14) nor argon2id (v=19, m to 524288, t and p to 16)",
        )
    })
}

fn uid(fields: &mut Fields, name: &'static str) -> Result<Option<String>, Refusal> {
    let uid = fields.text(name)?;
    if uid.as_deref().is_none_or(has_uid_form) {
        Ok(uid)
    } else {
        Err(Refusal::invalid(
            name,
            "not two to six letters and ten hexadecimal digits",
        ))
    }
}

/// `role`
pub fn role_of(fields: &mut Fields) -> Result<Option<String>, Refusal> {
    let role = fields.text("role")?;
    let is_good = |role: &str| {
        role.len() <= 64
            && role
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    if role.as_deref().is_none_or(is_good) {
        Ok(role)
    } else {
        Err(Refusal::invalid(
            "role",
            "not 1 to 64 letters, digits, underscores and hyphens",
        ))
    }
}

fn state(fields: &mut Fields) -> Result<String, Refusal> {
    let state = fields
        .text("state")?
        .unwrap_or_else(|| "pending".to_owned());
    let is_good = state.len() <= 32
        && state
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_good
        .then_some(state)
        .ok_or_else(|| Refusal::invalid("state", "not a word such as active"))
}

/// A JSON text, or the value that it stands for.
fn data(fields: &mut Fields) -> Result<Option<String>, Refusal> {
    match fields.any("data") {
        None => Ok(None),
        Some(Value::String(text)) if serde_json::from_str::<IgnoredAny>(&text).is_ok() => {
            Ok(Some(text))
        }
        Some(Value::String(_)) => Err(Refusal::invalid("data", "not a JSON text")),
        Some(value) => Ok(Some(value.to_string())),
    }
}

/// RFC 3339, or seconds since the Unix epoch.
fn time(fields: &mut Fields, name: &'static str) -> Result<Option<Timestamp>, Refusal> {
    let moment = match fields.any(name) {
        None => return Ok(None),
        Some(Value::String(text)) => Timestamp::parse_rfc3339(&text),
        Some(value) => value.as_i64().map(Timestamp::from_seconds),
    };
    // What cannot be told as RFC 3339 is no time.
    let moment = moment.filter(|moment| !moment.rfc3339().is_empty());
    moment
        .map(Some)
        .ok_or_else(|| Refusal::invalid(name, "not a time such as 2026-01-31T23:59:59Z"))
}

fn secret(fields: &mut Fields, name: &'static str) -> Result<Option<OtpSecret>, Refusal> {
    let Some(text) = fields.text(name)? else {
        return Ok(None);
    };
    OtpSecret::import(&text)
        .map(Some)
        .ok_or_else(|| Refusal::invalid(name, "not base32 (RFC 4648) of ten bytes at least"))
}

/// They have one salt, so that one hash tells which of them a code is; and they are a set.
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
        .ok_or_else(|| Refusal::invalid(NAME, "not a list of hashes of argon2id"))?;
    codes.sort();
    codes.dedup();
    let start = |code: &String| code.rsplit_once('$').map(|(start, _)| start.to_owned());
    if codes
        .windows(2)
        .any(|pair| start(&pair[0]) != start(&pair[1]))
    {
        return Err(Refusal::invalid(NAME, "hashes of different salts"));
    }
    codes
        .iter()
        .map(|code| PasswordHash::import(code))
        .collect::<Result<_, _>>()
        .map_err(|_| Refusal::invalid(NAME, "no hashes"))
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
        forget(&mut fields);
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
    let fields =
        Fields::of(value).ok_or_else(|| Refusal::invalid("labels", "not a list of objects"))?;
    read(fields).map_err(within)
}
