//! The store against DynamoDB's API.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use dynoxide::{Database, server::serve_with_shutdown};
use tokio::{net::TcpListener, task::JoinSet};

use super::{Asked, Asking, Claim, Confirmation, PasswordChange, SignUp, Store};
use crate::{
    activity::{Action, Activity, Recorder},
    clock::Timestamp,
    code::{Code, Kind},
    email::EmailAddress,
    language::Language,
    limits::MailLog,
    mail::{self, QueuedMail},
    otp::SecondFactor,
    password::PasswordHash,
    session::{Client as Visitor, NewSession, Session, SessionLife},
    token::{Claims, Purpose},
    user::{NewUser, State, User},
};

pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(super) const LIFE: SessionLife = SessionLife { idle: 1800, absolute: 86_400 };

/// A store of its own for each test.
pub(super) async fn store() -> Store {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let database = Database::memory().expect("a database");
    tokio::spawn(serve_with_shutdown(listener, database, std::future::pending()));
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .build();
    let store = Store { client: Client::from_conf(config), users: "Users".to_owned(), grants: "Grants".to_owned() };
    create_table(&store.client, "Users", &[("pk", KeyType::Hash)]).await;
    create_table(&store.client, "Grants", &[("pk", KeyType::Hash), ("sk", KeyType::Range)]).await;
    store
}

async fn create_table(client: &Client, name: &str, keys: &[(&str, KeyType)]) {
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (key, kind) in keys {
        let schema = KeySchemaElement::builder().attribute_name(*key).key_type(kind.clone()).build();
        let attribute = AttributeDefinition::builder().attribute_name(*key).attribute_type(ScalarAttributeType::S).build();
        request = request.key_schema(schema.expect("a key")).attribute_definitions(attribute.expect("an attribute"));
    }
    request.send().await.expect("a table");
}

fn hash(text: &str) -> PasswordHash {
    serde_json::from_value(serde_json::json!(text)).expect("a hash")
}

pub(super) fn new_user(email: &str) -> User {
    let email = EmailAddress::parse(email).expect("an address");
    User::new(NewUser { email, password_hash: hash("old"), referral_uid: None, data: Some("{}".to_owned()) }, "ID", NOW)
}

pub(super) fn session_of(user: &User) -> Session {
    NewSession::begin(user, Visitor { address: "192.0.2.1".to_owned(), user_agent: "test".to_owned() }, LIFE, NOW).session
}

pub(super) fn done(user: &User, action: Action, now: Timestamp) -> Activity {
    let client = Visitor { address: "192.0.2.1".to_owned(), user_agent: "test".to_owned() };
    Recorder { client: &client, life: 60, now }.succeeded(&user.uid, action)
}

pub(super) async fn sign_up(store: &Store, user: &User) -> SignUp {
    let code = Code::new(3600, NOW);
    let mail = QueuedMail::with_code(mail::Kind::Confirmation, (&user.uid, &user.email), Language::En, &code, NOW);
    store.sign_up(user, &session_of(user), (&code, &mail), &done(user, Action::SignUp, NOW)).await.expect("an answer")
}

async fn signed_up(store: &Store, email: &str) -> User {
    let user = new_user(email);
    assert_eq!(sign_up(store, &user).await, SignUp::Done);
    user
}

pub(super) async fn stored(store: &Store, user: &User) -> User {
    store.find_user(&user.email.key()).await.expect("an answer").expect("a user")
}

fn claims_of(user: &User, code: &Code) -> Claims {
    Claims::new(Purpose::Reset, &code.jti, &user.uid, &user.email.key(), (NOW, code.expires_at))
}

fn reset_mail(user: &User, code: &Code) -> QueuedMail {
    QueuedMail::with_code(mail::Kind::PasswordReset, (&user.uid, &user.email), Language::En, code, NOW)
}

/// Asks for a reset of the user's password.
async fn reset_asked(store: &Store, user: &User) -> Code {
    let code = Code::new(3600, NOW);
    ask(store, user, Kind::Reset, &code, &reset_mail(user, &code)).await;
    code
}

/// Stores a code and its mail.
async fn ask(store: &Store, user: &User, kind: Kind, code: &Code, mail: &QueuedMail) {
    let address = &user.email.key();
    let (_, before) = store.find_user_and_mail_log(address, kind).await.expect("an answer");
    let log = (before.as_ref(), &MailLog { asked_at: vec![NOW.milliseconds()] });
    let asking = Asking { kind, address, log, code, mail, activity: None };
    assert_eq!(store.store_code(&user.uid, &asking).await.expect("an answer"), Asked::Stored);
}

async fn reset(store: &Store, user: &User, code: &Code, new: &str) -> PasswordChange {
    let notice = QueuedMail::notice(mail::Kind::PasswordChanged, (&user.uid, &user.email), Language::En, NOW);
    store.reset_password(user, &hash(new), code, &notice, &done(user, Action::PasswordReset, NOW + 1)).await.expect("an answer")
}

/// Whether a session is opened by a time step.
async fn with_otp(store: &Store, user: &User, step: u64) -> bool {
    let (factor, activity) = (SecondFactor::TimeStep(step), done(user, Action::LoginWithOtp, NOW));
    store.open_session_with_otp(user, &session_of(user), &factor, &activity).await.expect("an answer").is_some()
}

/// Runs as many at once and gives what came of each.
pub(super) async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    work: impl Fn(usize) -> F,
) -> Vec<T> {
    let mut set = JoinSet::new();
    for place in 0..count {
        set.spawn(work(place));
    }
    set.join_all().await
}

#[tokio::test]
async fn a_user_is_found_by_the_address_in_any_case_as_she_was_stored() {
    let store = store().await;
    let user = signed_up(&store, "Jane@Example.com").await;
    let found = store.find_user(&crate::email::lookup_key(" JANE@example.COM")).await.expect("an answer").expect("a user");
    assert_eq!(serde_json::to_value(found).expect("JSON"), serde_json::to_value(&user).expect("JSON"));
    assert!(store.find_user("john@example.com").await.expect("an answer").is_none());
}

#[tokio::test]
async fn addresses_and_uids_are_taken_once() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let again = new_user("JANE@example.com");
    assert_eq!(sign_up(&store, &again).await, SignUp::EmailTaken);
    let same_uid = User { uid: user.uid.clone(), ..new_user("john@example.com") };
    assert_eq!(sign_up(&store, &same_uid).await, SignUp::UidTaken);
    assert_eq!(stored(&store, &user).await.uid, user.uid);
    for (address, uid, taken) in [
        (Some("jane@example.com"), Some(user.uid.as_str()), (true, true)),
        (Some("john@example.com"), Some("ID0000000000"), (false, false)),
        (None, Some(user.uid.as_str()), (false, true)),
        (Some("jane@example.com"), None, (true, false)),
        (None, None, (false, false)),
    ] {
        assert_eq!(store.is_taken(address, uid).await.expect("an answer"), taken);
    }
}

#[tokio::test]
async fn of_eight_sign_ups_of_an_address_at_once_one_wins() {
    let store = store().await;
    let outcomes = at_once(8, |_| {
        let (store, user) = (store.clone(), new_user("jane@example.com"));
        async move { sign_up(&store, &user).await }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|&&outcome| outcome == SignUp::Done).count(), 1);
    assert_eq!(outcomes.iter().filter(|&&outcome| outcome == SignUp::EmailTaken).count(), 7);
}

#[tokio::test]
async fn a_hash_is_replaced_only_while_it_is_the_one_that_was_checked() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    store.replace_hash(&user, &hash("new")).await.expect("an answer");
    assert_eq!(stored(&store, &user).await.password_hash, hash("new"));
    store.replace_hash(&user, &hash("late")).await.expect("an answer");
    assert_eq!(stored(&store, &user).await.password_hash, hash("new"));
}

#[tokio::test]
async fn a_session_is_found_by_its_token_and_ended_once() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let session = Session { id_hash: crate::random::sha256_hex("the-jti"), ..session_of(&user) };
    store.open_session(&user, &session, &done(&user, Action::Login, NOW)).await.expect("a session");
    let claims = Claims::new(Purpose::Session, "the-jti", &user.uid, &user.email.key(), (NOW, NOW + 60));
    let (found, owner) = store.find_session(&claims).await.expect("an answer").expect("a session");
    assert_eq!((found, owner.uid), (session.clone(), user.uid));
    let ended = at_once(8, |_| {
        let (store, session) = (store.clone(), session.clone());
        async move { store.end_session(&session.uid, &session.id_hash, None).await.expect("an answer") }
    })
    .await;
    assert_eq!(ended.iter().filter(|&&ended| ended).count(), 1);
    assert!(store.find_session(&claims).await.expect("an answer").is_none());
}

#[tokio::test]
async fn a_time_step_opens_one_session_and_those_below_it_none() {
    let store = store().await;
    let secret = serde_json::from_value(serde_json::json!("GEZDGNBVGY3TQOJQ")).ok();
    let user = User { otp_secret: secret, ..new_user("jane@example.com") };
    sign_up(&store, &user).await;
    let opened = at_once(8, |_| {
        let (store, user) = (store.clone(), user.clone());
        async move { with_otp(&store, &user, 100).await }
    })
    .await;
    assert_eq!(opened.iter().filter(|&&opened| opened).count(), 1);
    for (step, opens) in [(99, false), (100, false), (101, true)] {
        assert_eq!(with_otp(&store, &user, step).await, opens, "{step}");
    }
    let secret = serde_json::from_value(serde_json::json!("MFRGGZDFMZTWQ2LK")).ok();
    let enrolled_anew = User { otp_secret: secret, ..user };
    assert!(!with_otp(&store, &enrolled_anew, 102).await);
}

#[tokio::test]
async fn only_the_newest_code_is_kept() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let (first, second) = (reset_asked(&store, &user).await, reset_asked(&store, &user).await);
    let (_, kept) = store.find_code(&claims_of(&user, &first), Kind::Reset).await.expect("an answer");
    assert_eq!(kept.as_ref(), Some(&second));
    assert!(!second.is_named_by(&claims_of(&user, &first), NOW));
    assert!(second.is_named_by(&claims_of(&user, &second), NOW) && !second.is_named_by(&claims_of(&user, &second), NOW + 3600));
    assert_eq!(reset(&store, &user, &first, "new").await, PasswordChange::CodeUsed);
    assert_eq!(stored(&store, &user).await.password_hash, hash("old"));
}

#[tokio::test]
async fn of_sixteen_resets_by_one_code_at_once_one_wins_and_ends_every_session() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let (session, code) = (session_of(&user), reset_asked(&store, &user).await);
    let outcomes = at_once(16, |place| {
        let (store, user, code) = (store.clone(), user.clone(), code.clone());
        async move { (reset(&store, &user, &code, &format!("new {place}")).await, place) }
    })
    .await;
    let winners: Vec<usize> =
        outcomes.iter().filter(|(change, _)| *change == PasswordChange::Done).map(|&(_, place)| place).collect();
    let [winner] = winners[..] else { panic!("{winners:?}") };
    let changed = stored(&store, &user).await;
    assert_eq!(changed.password_hash, hash(&format!("new {winner}")));
    assert_eq!((changed.session_epoch, changed.updated_at, changed.created_at), (1, NOW + 1, NOW));
    assert!(session.is_live(&user, LIFE, NOW) && !session.is_live(&changed, LIFE, NOW));
}

#[tokio::test]
async fn a_password_of_somebody_else_who_has_the_address_now_is_not_changed() {
    let store = store().await;
    let gone = new_user("jane@example.com");
    let code = reset_asked(&store, &gone).await;
    let now_hers = signed_up(&store, "jane@example.com").await;
    assert_eq!(reset(&store, &gone, &code, "new").await, PasswordChange::UserGone);
    assert_eq!(stored(&store, &now_hers).await.password_hash, hash("old"));
}

#[tokio::test]
async fn of_sixteen_confirmations_of_an_address_at_once_one_wins() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let claims = claims_of(&user, &Code::new(3600, NOW));
    let code = store.find_code(&claims, Kind::Confirmation).await.expect("an answer").1.expect("the code of the sign-up");
    let outcomes =
        at_once(16, |_| {
            let (store, user, code) = (store.clone(), user.clone(), code.clone());
            async move {
                store.confirm_email(&user, &user.confirmed(NOW + 1), &code, Some(&session_of(&user))).await.expect("an answer")
            }
        })
        .await;
    assert_eq!(outcomes.iter().filter(|&&outcome| outcome == Confirmation::Done).count(), 1, "{outcomes:?}");
    let confirmed = stored(&store, &user).await;
    assert_eq!((confirmed.state, confirmed.level), (State::Active, 1));
    assert_eq!(confirmed.labels, user.confirmed(NOW + 1).labels);
    ask(&store, &user, Kind::Confirmation, &code, &reset_mail(&user, &code)).await;
    let again = store.confirm_email(&user, &user.confirmed(NOW + 2), &code, None).await.expect("an answer");
    assert_eq!(again, Confirmation::NothingToConfirm);
}

#[tokio::test]
async fn a_code_that_a_newer_one_replaced_confirms_nothing() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let older = Code::new(3600, NOW);
    let outcome = store.confirm_email(&user, &user.confirmed(NOW), &older, Some(&session_of(&user))).await.expect("an answer");
    assert_eq!((outcome, stored(&store, &user).await.state), (Confirmation::CodeUsed, State::Pending));
}

#[tokio::test]
async fn a_decoy_is_nobodys_code_and_no_mail() {
    let store = store().await;
    let (nobody, code) = (new_user("nobody@example.com"), Code::new(3600, NOW));
    let mail = reset_mail(&nobody, &code);
    let log = (None, &MailLog { asked_at: vec![NOW.milliseconds()] });
    let activity = done(&nobody, Action::RequestPasswordReset, NOW);
    let address = "nobody@example.com";
    let asking = Asking { kind: Kind::Reset, address, log, code: &code, mail: &mail, activity: Some(&activity) };
    assert_eq!(store.store_decoy_code(&asking).await.expect("an answer"), Asked::Stored);
    assert_eq!(store.activities(&nobody.uid, None, (1, 9), NOW).await.expect("an answer").total, 0);
    assert_eq!(store.claim_mail(&mail.uid, &mail.id, NOW).await.expect("an answer"), Claim::Settled);
    let (user, code) = store.find_code(&claims_of(&nobody, &code), Kind::Reset).await.expect("an answer");
    assert!(user.is_none() && code.is_none());
}

#[tokio::test]
async fn of_eight_deliveries_of_a_mail_at_once_one_sends_it() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let code = Code::new(3600, NOW);
    let mail = reset_mail(&user, &code);
    ask(&store, &user, Kind::Reset, &code, &mail).await;
    let claims = at_once(8, |_| {
        let (store, mail) = (store.clone(), mail.clone());
        async move { store.claim_mail(&mail.uid, &mail.id, NOW).await.expect("an answer") }
    })
    .await;
    assert_eq!(claims.iter().filter(|&claim| *claim == Claim::Claimed(mail.clone())).count(), 1);
    assert_eq!(claims.iter().filter(|&claim| *claim == Claim::Busy).count(), 7);
    let claim = async |now| store.claim_mail(&mail.uid, &mail.id, now).await.expect("an answer");
    store.release_mail(&mail, NOW).await.expect("an answer");
    assert_eq!(claim(NOW).await, Claim::Claimed(mail.clone()));
    assert_eq!(claim(NOW + 59).await, Claim::Busy);
    assert_eq!(claim(NOW + 60).await, Claim::Claimed(mail.clone()), "a delivery that was lost does not hold the mail for ever");
    store.settle_mail(&mail, NOW + 61).await.expect("an answer");
    assert_eq!(claim(NOW + 600).await, Claim::Settled);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_unavailable() {
    let store = store().await;
    let config = store.client.config().to_builder();
    let config = config.endpoint_url("http://127.0.0.1:1").retry_config(aws_smithy_types::retry::RetryConfig::disabled());
    let client = Client::from_conf(
        config
            .timeout_config(aws_smithy_types::timeout::TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build())
            .build(),
    );
    let cut_off = Store { client, ..store };
    assert_eq!(cut_off.find_user("jane@example.com").await.expect_err("a failure").status(), 503);
    let user = new_user("jane@example.com");
    assert_eq!(
        cut_off.open_session(&user, &session_of(&user), &done(&user, Action::Login, NOW)).await.expect_err("a failure").status(),
        503
    );
}

#[tokio::test]
async fn a_table_that_is_not_there_is_a_bug() {
    let store = Store { users: "Nothing".to_owned(), ..store().await };
    assert_eq!(store.find_user("jane@example.com").await.expect_err("a failure").status(), 500);
}
