//! `GET /resource/users/activity/{topic}`: returns the activities of the account.

use std::num::IntErrorKind;

use shared::{
    Error,
    domain::activity::{Activity, Topic},
    http::{
        Body, HeaderValue, Request, RequestExt, Response, StatusCode,
        authentication::Authenticator, json,
    },
    platform::clock::Timestamp,
    store::PageRequest,
};

/// Maximum number of activities on a page, and the default.
const LIMIT: usize = 100;

pub struct List {
    pub authenticator: Authenticator,
}

impl List {
    /// Returns a page of activities, newest first.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self.authenticator.authenticate(&request, now).await?;
        let topic = topic(request.path_parameters().first("topic").unwrap_or_default())?;
        let page = number(&request, "page").unwrap_or(1).max(1);
        let limit = number(&request, "limit").unwrap_or(LIMIT).clamp(1, LIMIT);
        let found = self
            .authenticator
            .store
            .activities(&signed_in.user.uid, topic, PageRequest { page, limit }, now)
            .await?;
        if found.total == 0 {
            return Err(Error::NoActivity);
        }
        let views: Vec<_> = found.activities.iter().map(Activity::view).collect();
        let mut response = json(StatusCode::OK, &views)?;
        for (name, value) in [
            ("total", found.total),
            ("page", found.page),
            ("per-page", limit),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from(value));
        }
        Ok(response)
    }
}

/// `None` means all topics.
fn topic(name: &str) -> Result<Option<Topic>, Error> {
    match name {
        "all" => Ok(None),
        "session" => Ok(Some(Topic::Session)),
        "otp" => Ok(Some(Topic::Otp)),
        "passkey" => Ok(Some(Topic::Passkey)),
        "password" => Ok(Some(Topic::Password)),
        "account" => Ok(Some(Topic::Account)),
        _ => Err(Error::TopicUnknown),
    }
}

/// The value of a query parameter. A value that is not a number is treated as absent; one that is
/// out of range, as the nearest number in range.
fn number(request: &Request, name: &str) -> Option<usize> {
    let query = request.query_string_parameters();
    let text = query.all(name)?.pop()?.trim();
    let number = text.parse::<i64>().or_else(|error| match error.kind() {
        IntErrorKind::PosOverflow => Ok(i64::MAX),
        IntErrorKind::NegOverflow => Ok(i64::MIN),
        _ => Err(error),
    });
    Some(usize::try_from(number.ok()?).unwrap_or_default())
}
