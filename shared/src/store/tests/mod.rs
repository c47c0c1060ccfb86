//! Tests of the store against an in-memory DynamoDB, with one file per file of the store.

mod access_keys;
mod activities;
mod closure;
mod codes;
mod devices;
mod email_change;
mod expiry;
mod limits;
mod outbox;
mod passkey_list;
mod passkey_sign_in;
mod sessions;
mod signer;
mod users;

use std::{sync::LazyLock, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use dynoxide::{Database, server::serve_with_shutdown};
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    ActivityPage, Attempt, CodeRequest, CodeRequestOutcome, NewAccount, PageRequest,
    PasswordChangeLog, SignUp, SignUpLookup, Store,
};
use crate::{
    domain::{
        activity::{Action, Activity, Recorder},
        email_address::{AccountKeys, EmailAddress},
        language::Language,
        mail::{self, QueuedMail},
        one_time_code::{Kind, OneTimeCode},
        password::PasswordHash,
        rate_limit::MailLog,
        session::{Client as Visitor, NewSession, Session, SessionLifetime},
        user::{NewUser, PendingLifetime, User},
    },
    platform::{aws::deferred, clock::Timestamp},
    tokens::signed_token::{Claims, Purpose},
};

pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(super) const LIFE: SessionLifetime = SessionLifetime {
    idle: 1800,
    absolute: 86_400,
};

/// A store with empty tables.
pub(super) async fn store() -> Store {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let database = Database::memory().expect("a database");
    tokio::spawn(serve_with_shutdown(
        listener,
        database,
        std::future::pending(),
    ));
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .build();
    let store = Store {
        client: deferred(|| Client::from_conf(config)),
        users: "Users".to_owned(),
        grants: "Grants".to_owned(),
        pending_lifetime: PendingLifetime::days(30),
    };
    create_table(&store.client, "Users", &[("pk", KeyType::Hash)]).await;
    create_table(
        &store.client,
        "Grants",
        &[("pk", KeyType::Hash), ("sk", KeyType::Range)],
    )
    .await;
    store
}

async fn create_table(client: &Client, name: &str, keys: &[(&str, KeyType)]) {
    let mut request = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest);
    for (key, kind) in keys {
        let schema = KeySchemaElement::builder()
            .attribute_name(*key)
            .key_type(kind.clone())
            .build();
        let attribute = AttributeDefinition::builder()
            .attribute_name(*key)
            .attribute_type(ScalarAttributeType::S)
            .build();
        request = request
            .key_schema(schema.expect("a key"))
            .attribute_definitions(attribute.expect("an attribute"));
    }
    request.send().await.expect("a table");
}

fn hash(text: &str) -> PasswordHash {
    serde_json::from_value(serde_json::json!(text)).expect("a hash")
}

pub(super) fn new_user(email: &str) -> User {
    let email = EmailAddress::parse(email).expect("an address");
    User::new(
        NewUser {
            email,
            password_hash: hash("old"),
            referral_uid: None,
            data: Some("{}".to_owned()),
            language: None,
        },
        "ID",
        NOW,
    )
}

pub(super) fn session_of(user: &User) -> Session {
    NewSession::begin(
        user,
        Visitor {
            address: "192.0.2.1".to_owned(),
            user_agent: "test".to_owned(),
        },
        LIFE,
        true,
        NOW,
    )
    .session
}

pub(super) fn succeeded(user: &User, action: Action, now: Timestamp) -> Activity {
    let client = Visitor {
        address: "192.0.2.1".to_owned(),
        user_agent: "test".to_owned(),
    };
    Recorder {
        client: &client,
        life: 60,
        now,
    }
    .succeeded(&user.uid, action)
}

pub(super) async fn sign_up(store: &Store, user: &User) -> SignUp {
    sign_up_at(store, user, NOW).await
}

/// A sign-up by a clock that shows `now`.
async fn sign_up_at(store: &Store, user: &User, now: Timestamp) -> SignUp {
    let accounts = user.email.account_keys();
    let lookup = store.look_up_sign_up(Some(&accounts), None, now).await;
    sign_up_after(store, user, &lookup.expect("an answer")).await
}

/// A sign-up after this lookup of the address.
async fn sign_up_after(store: &Store, user: &User, lookup: &SignUpLookup) -> SignUp {
    let code = OneTimeCode::new(3600, NOW);
    let mail = QueuedMail::with_code(
        mail::Kind::Confirmation,
        &user.uid,
        &user.email,
        Language::En,
        &code,
        NOW,
    );
    let log_after = MailLog {
        asked_at: vec![NOW.milliseconds()],
    };
    let new = NewAccount {
        user,
        replaced: &lookup.expired,
        session: &session_of(user),
        log_before: lookup.mail_log.as_ref(),
        log_after: &log_after,
        code: &code,
        mail: &mail,
        activity: &succeeded(user, Action::SignUp, NOW),
    };
    store.sign_up(&new).await.expect("an answer")
}

async fn signed_up(store: &Store, email: &str) -> User {
    let user = new_user(email);
    assert_eq!(sign_up(store, &user).await, SignUp::Done);
    user
}

pub(super) async fn stored(store: &Store, user: &User) -> User {
    store
        .find_user(&user.email.account_keys(), NOW)
        .await
        .expect("an answer")
        .expect("a user")
}

fn claims_of(user: &User, code: &OneTimeCode) -> Claims {
    Claims::new(
        Purpose::Reset,
        code.token_id.clone(),
        user.uid.clone(),
        user.email.account_key(),
        NOW,
        code.expires_at,
    )
}

fn reset_mail(user: &User, code: &OneTimeCode) -> QueuedMail {
    QueuedMail::with_code(
        mail::Kind::PasswordReset,
        &user.uid,
        &user.email,
        Language::En,
        code,
        NOW,
    )
}

/// Requests a password reset of the user.
async fn request_reset(store: &Store, user: &User) -> OneTimeCode {
    let code = OneTimeCode::new(3600, NOW);
    request_code(store, user, Kind::Reset, &code, &reset_mail(user, &code)).await;
    code
}

async fn request_code(
    store: &Store,
    user: &User,
    kind: Kind,
    code: &OneTimeCode,
    mail: &QueuedMail,
) {
    let account = &user.email.account_key();
    let (_, before) = store
        .find_user_and_mail_log(&user.email.account_keys(), kind, NOW)
        .await
        .expect("an answer");
    let log_after = MailLog {
        asked_at: vec![NOW.milliseconds()],
    };
    let request = CodeRequest {
        kind,
        account,
        log_before: before.as_ref(),
        log_after: &log_after,
        code,
        mail,
        activity: None,
    };
    assert_eq!(
        store
            .store_code(&user.uid, &request)
            .await
            .expect("an answer"),
        CodeRequestOutcome::Stored
    );
}

pub(super) async fn all_activities(store: &Store, user: &User) -> ActivityPage {
    let page = PageRequest {
        page: 1,
        limit: 100,
    };
    store
        .activities(&user.uid, None, page, NOW)
        .await
        .expect("an answer")
}

/// A new session of the user.
async fn opened(store: &Store, user: &User) -> Session {
    let session = session_of(user);
    store
        .open_session(
            &session,
            &Attempt::default(),
            &succeeded(user, Action::Login, NOW),
        )
        .await
        .expect("a session");
    session
}

/// The stored session, if it is live.
async fn live(store: &Store, user: &User, session: &Session) -> Option<Session> {
    let (session, user) = store
        .reload_session(session, user, NOW)
        .await
        .expect("an answer")?;
    session.is_live(&user, LIFE, NOW).then_some(session)
}

/// Runs `count` tasks concurrently and returns their results in the order of completion.
pub(super) async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    work: impl Fn(usize) -> F,
) -> Vec<T> {
    let mut set = JoinSet::new();
    for index in 0..count {
        set.spawn(work(index));
    }
    set.join_all().await
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_unavailable() {
    let store = store().await;
    let config = store.client.config().to_builder();
    let config = config
        .endpoint_url("http://127.0.0.1:1")
        .retry_config(aws_smithy_types::retry::RetryConfig::disabled());
    let timeout = aws_smithy_types::timeout::TimeoutConfig::builder()
        .operation_timeout(Duration::from_secs(5))
        .build();
    let client = Client::from_conf(config.timeout_config(timeout).build());
    let unreachable = Store {
        client: deferred(|| client),
        ..store
    };
    assert_eq!(
        unreachable
            .find_user(&AccountKeys::of("jane@example.com"), NOW)
            .await
            .expect_err("a failure")
            .status(),
        503
    );
    let user = new_user("jane@example.com");
    assert_eq!(
        unreachable
            .open_session(
                &session_of(&user),
                &Attempt::default(),
                &succeeded(&user, Action::Login, NOW)
            )
            .await
            .expect_err("a failure")
            .status(),
        503
    );
}

#[tokio::test]
async fn a_missing_table_is_an_internal_error() {
    let store = Store {
        users: "Nothing".to_owned(),
        ..store().await
    };
    assert_eq!(
        store
            .find_user(&AccountKeys::of("jane@example.com"), NOW)
            .await
            .expect_err("a failure")
            .status(),
        500
    );
}

/// The log of a change of the password. That the limit applies is the endpoint's concern.
fn password_change_log(before: Option<&MailLog>) -> PasswordChangeLog<'_> {
    static AFTER: LazyLock<MailLog> = LazyLock::new(MailLog::default);
    PasswordChangeLog {
        before,
        after: &AFTER,
    }
}
