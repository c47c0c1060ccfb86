//! Cookies (RFC 6265, and RFC 6265bis for `SameSite`): their attributes, and the one parser of the
//! cookies of requests.

use lambda_http::http::{HeaderMap, HeaderValue, header::COOKIE};

/// The `Set-Cookie` value that makes browsers delete the session cookie.
#[must_use]
pub fn clearing_cookie(name: &str) -> String {
    cookie(name, "", Some(0))
}

/// The values of all cookies of this name, in the order of the request.
///
/// Parsed as bytes, because other cookies of the host may contain any (RFC 6265, section 5.4, step
/// 4): they must not hide the ones of this name.
pub(super) fn cookie_values(headers: &HeaderMap, name: &str) -> impl Iterator<Item = String> {
    headers
        .get_all(COOKIE)
        .into_iter()
        .flat_map(|header| header.as_bytes().split(|&byte| byte == b';'))
        .filter_map(move |pair| {
            let equals = pair.iter().position(|&byte| byte == b'=')?;
            let (key, value) = (&pair[..equals], &pair[equals + 1..]);
            let is_named = key.trim_ascii() == name.as_bytes();
            is_named.then(|| String::from_utf8_lossy(value.trim_ascii()).into_owned())
        })
}

/// Adds the cookies of an event of API Gateway, which has them apart from its headers. A cookie
/// that cannot be in a header is left out, so that it does not hide the others.
pub fn append_cookies(headers: &mut HeaderMap, cookies: &[String]) {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_bytes(cookie.as_bytes()) {
            // The map holds more headers than API Gateway accepts, so this does not fail.
            let _ = headers.try_append(COOKIE, value);
        }
    }
}

/// A `Set-Cookie` value. Without a `Max-Age`, in seconds, browsers delete the cookie when they are
/// closed.
pub(super) fn cookie(name: &str, value: &str, max_age: Option<i64>) -> String {
    let max_age = max_age.map_or(String::new(), |seconds| format!("; Max-Age={seconds}"));
    format!("{name}={value}; Path=/; HttpOnly; Secure; SameSite=Lax{max_age}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_cookie_hides_a_cookie() {
        for other in [
            "city=Köln",
            "a=\u{1f40e}",
            "a=\"b",
            "=",
            "a",
            "",
            "a=b\u{1}",
            "a=\r\nb",
        ] {
            for cookies in [
                ["s=1".to_owned(), other.to_owned()],
                [other.to_owned(), "s=1".to_owned()],
            ] {
                let mut headers = HeaderMap::new();
                append_cookies(&mut headers, &cookies);
                let values: Vec<String> = cookie_values(&headers, "s").collect();
                assert_eq!(values, ["1"], "{cookies:?}");
            }
        }
        let mut headers = HeaderMap::new();
        let bytes = b"a=\xff\xfe; s=1;s = 2 ;S=3; ss=4; s=\xff";
        headers.insert(COOKIE, HeaderValue::from_bytes(bytes).expect("a value"));
        let values: Vec<String> = cookie_values(&headers, "s").collect();
        assert_eq!(values, ["1", "2", "\u{fffd}"]);
    }

    #[test]
    fn the_cookie_is_sent_over_https_only_and_not_with_cross_site_posts() {
        assert_eq!(
            cookie("_barong_session", "t", Some(86_400)),
            "_barong_session=t; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=86400"
        );
        assert_eq!(
            cookie("s", "t", None),
            "s=t; Path=/; HttpOnly; Secure; SameSite=Lax"
        );
        assert_eq!(
            clearing_cookie("s"),
            "s=; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=0"
        );
    }
}
