//! `GET /resource/users/me/export`: returns everything that is stored about the user except secrets.

use std::cmp::Reverse;

use serde::Serialize;
use shared::{
    Error,
    domain::{
        activity::{Activity, ActivityView},
        passkey::{PasskeyView, newest_first},
        user::{LabelView, UserRecord},
    },
    http::{Body, Request, Response, StatusCode, authentication::Authenticator, json},
    platform::clock::Timestamp,
    store::PageRequest,
};

use crate::session::view::{View, with_current};

/// The newest activities, which are as many as the store reads.
const ACTIVITIES: PageRequest = PageRequest {
    page: 1,
    limit: 1000,
};

pub struct Export {
    pub authenticator: Authenticator,
    /// Seconds, see
    /// [`require_recent_authentication`](shared::http::authentication::AuthenticatedSession::require_recent_authentication).
    pub reauthentication_time: i64,
}

#[derive(Serialize)]
struct Document<'a> {
    exported_at: String,
    account: UserRecord<'a>,
    labels: Vec<LabelView<'a>>,
    sessions: Vec<SessionRecord<'a>>,
    passkeys: Vec<PasskeyRecord<'a>>,
    activities: Vec<ActivityView<'a>>,
}

#[derive(Serialize)]
struct PasskeyRecord<'a> {
    #[serde(flatten)]
    view: PasskeyView<'a>,
    sign_count: u32,
    backup_eligible: bool,
}

#[derive(Serialize)]
struct SessionRecord<'a> {
    #[serde(flatten)]
    view: View<'a>,
    /// Whether the session can be used. Sessions that ended remain stored until they expire.
    live: bool,
    remember: bool,
    authenticated_at: Option<String>,
    failures: u32,
    code_failures: u32,
}

impl Export {
    /// Returns the user with their labels, the newest sessions and the current one, the passkeys, and
    /// the newest activities.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Result<Response<Body>, Error> {
        let signed_in = self
            .authenticator
            .authenticate_for_export(&request, now)
            .await?;
        signed_in.require_recent_authentication(self.reauthentication_time, now)?;
        let user = &signed_in.user;
        let life = self.authenticator.session_lifetime;
        let store = &self.authenticator.store;
        let (sessions, mut passkeys, found) = Box::pin(async {
            tokio::try_join!(
                store.sessions(&user.uid),
                store.passkeys(user),
                store.activities(&user.uid, None, ACTIVITIES, now),
            )
        })
        .await?;
        newest_first(&mut passkeys);
        let mut sessions = with_current(sessions, &signed_in.session);
        sessions.sort_by_key(|session| Reverse((session.began_at, session.id.clone())));
        let sessions = sessions.iter().map(|session| SessionRecord {
            view: View::of(session, &signed_in.session, life),
            live: session.is_live(user, life, now),
            remember: session.remember,
            authenticated_at: session.authenticated_at.map(Timestamp::rfc3339),
            failures: session.failures,
            code_failures: session.code_failures,
        });
        let document = Document {
            exported_at: now.rfc3339(),
            account: user.record(),
            labels: user.label_views(),
            sessions: sessions.collect(),
            passkeys: passkeys
                .iter()
                .map(|passkey| PasskeyRecord {
                    view: passkey.view(),
                    sign_count: passkey.sign_count,
                    backup_eligible: passkey.backup_eligible,
                })
                .collect(),
            activities: found.activities.iter().map(Activity::view).collect(),
        };
        json(StatusCode::OK, &document)
    }
}
