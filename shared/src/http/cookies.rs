//! The session cookie (RFC 6265, and RFC 6265bis for `SameSite`).

use crate::{
    BoxError,
    domain::{email_address::EmailAddress, session::NewSession},
    tokens::signed_token::{Claims, Purpose, SigningKeys},
};

/// The `Set-Cookie` value with the token of a new session. Its `Max-Age` is the absolute timeout of
/// the session, in seconds.
///
/// # Errors
/// The error of [`SigningKeys::sign`].
pub fn session_cookie(
    name: &str,
    new: &NewSession,
    email: &EmailAddress,
    signing_keys: &SigningKeys,
) -> Result<String, BoxError> {
    let session = &new.session;
    let token = signing_keys.sign(&Claims::new(
        Purpose::Session,
        new.token_id.clone(),
        session.uid.clone(),
        email.account_key(),
        session.began_at,
        session.expires_at,
    ))?;
    Ok(cookie(
        name,
        &token,
        session.expires_at.seconds() - session.last_used_at.seconds(),
    ))
}

/// The `Set-Cookie` value that makes browsers delete the session cookie.
#[must_use]
pub fn clearing_cookie(name: &str) -> String {
    cookie(name, "", 0)
}

fn cookie(name: &str, value: &str, max_age: i64) -> String {
    format!("{name}={value}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age={max_age}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_sent_over_https_only_and_not_with_cross_site_posts() {
        assert_eq!(
            cookie("_barong_session", "t", 86_400),
            "_barong_session=t; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=86400"
        );
        assert_eq!(
            clearing_cookie("s"),
            "s=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=0"
        );
    }
}
