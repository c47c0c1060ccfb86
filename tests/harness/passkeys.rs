//! A software authenticator with its client (WebAuthn level 3), whose responses can be wrong in ways
//! that those of a browser are not.

use std::sync::Arc;

use authenticator::{
    AT, Authentication, AuthenticatorData, BE, BS, Credential as NewCredential, Key, Registration,
    UP, UV, cbor,
};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use shared::platform::random;

use super::{
    Answer, Request, User,
    items::{Item, USERS, move_back, text},
    stack::Latchkey,
};

/// The greatest number of passkeys of a user.
pub const LIMIT: usize = 20;

/// An authenticator. Its clones hold copies of its credentials, as if it had been cloned.
#[derive(Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact that a response states"
)]
pub struct Authenticator {
    /// The origin of the page that uses it.
    pub origin: String,
    /// Whether the page is in an iframe of another site.
    pub cross_origin: bool,
    pub user_present: bool,
    pub user_verified: bool,
    /// Whether the credential can be copied to other devices, and was.
    pub backup_eligible: bool,
    pub backed_up: bool,
    /// Added to the signature counter at each use. 0 is an authenticator without a counter.
    pub counter_step: u32,
    /// The algorithm of the next credential.
    pub algorithm: Algorithm,
    /// Length of the id of the next credential, in bytes.
    pub id_length: usize,
    pub transports: Vec<&'static str>,
    /// The credentials, oldest first.
    pub credentials: Vec<Credential>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Es256,
    EdDsa,
    Rs256,
}

#[derive(Clone)]
pub struct Credential {
    pub id: Vec<u8>,
    pub rp_id: String,
    pub user_handle: Vec<u8>,
    pub sign_count: u32,
    key: Arc<Key>,
}

impl Algorithm {
    /// The COSE algorithm identifier.
    pub const fn cose(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::EdDsa => -8,
            Self::Rs256 => -257,
        }
    }

    /// A key of the algorithm; for ES256 another one each time.
    fn key(self) -> Key {
        match self {
            Self::Es256 => Key::generate(),
            Self::EdDsa => Key::eddsa(),
            Self::Rs256 => Key::rs256(),
        }
    }
}

impl Authenticator {
    /// An authenticator in a page of this origin.
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            cross_origin: false,
            user_present: true,
            user_verified: true,
            backup_eligible: false,
            backed_up: false,
            counter_step: 1,
            algorithm: Algorithm::Es256,
            id_length: 32,
            transports: vec!["internal", "hybrid"],
            credentials: Vec::new(),
        }
    }

    /// An authenticator that synchronises its credentials, and so has no signature counter.
    pub fn synchronised(origin: &str) -> Self {
        Self {
            backup_eligible: true,
            backed_up: true,
            counter_step: 0,
            ..Self::new(origin)
        }
    }

    /// Creates a credential: the response to `PublicKeyCredentialCreationOptionsJSON`, as
    /// `PublicKeyCredential.toJSON()` returns it.
    #[track_caller]
    pub fn register(&mut self, options: &Value) -> Value {
        let excluded = options["excludeCredentials"].as_array().unwrap();
        let is_excluded = |credential: &Credential| {
            let id = json!(encode(&credential.id));
            excluded.iter().any(|excluded| excluded["id"] == id)
        };
        assert!(
            !self.credentials.iter().any(is_excluded),
            "InvalidStateError: the authenticator has an excluded credential"
        );
        let offered = options["pubKeyCredParams"].as_array().unwrap();
        let own = json!({ "type": "public-key", "alg": self.algorithm.cose() });
        assert!(offered.contains(&own), "NotSupportedError: {own}");
        let credential = Credential {
            id: (0..self.id_length)
                .map(|_| random::bytes::<1>()[0])
                .collect(),
            rp_id: options["rp"]["id"].as_str().unwrap().to_owned(),
            user_handle: decode(&options["user"]["id"]),
            sign_count: self.counter_step,
            key: Arc::new(self.algorithm.key()),
        };
        let response = self.registration(&credential, options);
        self.credentials.push(credential);
        response
    }

    /// Responds to creation options with the newest credential instead of a new one.
    pub fn register_again(&self, options: &Value) -> Value {
        self.registration(self.credentials.last().expect("a credential"), options)
    }

    fn registration(&self, credential: &Credential, options: &Value) -> Value {
        let mut data = self.authenticator_data(credential, AT);
        data.credential = Some(NewCredential {
            aaguid: [0; 16],
            id: credential.id.clone(),
            public_key: credential.key.cose(),
        });
        let registration = Registration {
            id: credential.id.clone(),
            client_data: self.client_data("webauthn.create", options),
            authenticator_data: data,
            format: "none".to_owned(),
            statement: cbor::map(&[]),
        };
        let mut response = registration.response();
        response["clientExtensionResults"] = json!({ "credProps": { "rk": true } });
        response["response"]["transports"] = json!(self.transports);
        response
    }

    /// Signs in with the newest credential of the RP ID: the response to
    /// `PublicKeyCredentialRequestOptionsJSON`.
    #[track_caller]
    pub fn sign_in(&mut self, options: &Value) -> Value {
        let of_rp_id =
            |credential: &Credential| json!(credential.rp_id.as_str()) == options["rpId"];
        let newest = self.credentials.iter().rposition(of_rp_id);
        self.sign_in_with(newest.expect("a credential"), options)
    }

    /// Signs in with the credential at this index.
    pub fn sign_in_with(&mut self, index: usize, options: &Value) -> Value {
        self.credentials[index].sign_count += self.counter_step;
        let credential = &self.credentials[index];
        let authentication = Authentication {
            id: credential.id.clone(),
            client_data: self.client_data("webauthn.get", options),
            authenticator_data: self.authenticator_data(credential, 0),
            user_handle: credential.user_handle.clone(),
            key: &credential.key,
        };
        authentication.response()
    }

    fn client_data(&self, ceremony: &str, options: &Value) -> Vec<u8> {
        json!({
            "type": ceremony,
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": self.cross_origin,
        })
        .to_string()
        .into_bytes()
    }

    /// The hash of the RP ID, the flags and the signature counter (section 6.1).
    fn authenticator_data(&self, credential: &Credential, further: u8) -> AuthenticatorData {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        AuthenticatorData {
            rp_id_hash: digest(&SHA256, credential.rp_id.as_bytes())
                .as_ref()
                .to_vec(),
            flags: flag(self.user_present, UP)
                | flag(self.user_verified, UV)
                | flag(self.backup_eligible, BE)
                | flag(self.backed_up, BS)
                | further,
            sign_count: credential.sign_count,
            credential: None,
            rest: Vec::new(),
        }
    }
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

#[track_caller]
fn decode(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
}

/// The options and the state of a ceremony.
#[derive(Clone, Debug)]
pub struct Ceremony {
    pub options: Value,
    pub state: String,
}

impl Ceremony {
    /// The ceremony that the response to a request for options begins.
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 201, "{answer:?}");
        let mut answer = answer.json();
        Self {
            options: answer["publicKey"].take(),
            state: answer["state"].as_str().unwrap().to_owned(),
        }
    }

    /// The body of the request that ends the ceremony.
    pub fn body(&self, credential: &Value) -> Value {
        json!({ "credential": credential, "state": self.state })
    }
}

impl Latchkey {
    /// An authenticator in a page of the front end.
    pub fn authenticator(&self) -> Authenticator {
        Authenticator::new(&self.domain())
    }

    /// A user with a confirmed address and a passkey.
    pub async fn with_passkey(&self, name: &str) -> (User, Authenticator) {
        let user = self.confirmed(name).await;
        let mut authenticator = self.authenticator();
        self.add_passkey(&user, &mut authenticator).await;
        (user, authenticator)
    }

    /// The stored item of the user's only passkey.
    pub async fn passkey_item(&self, user: &User) -> Item {
        let mut items = self.passkey_items(user).await;
        assert_eq!(items.len(), 1);
        items.remove(0)
    }

    /// The kinds of the mails in the outbox of the user.
    pub async fn kinds_of_mails(&self, user: &User) -> Vec<String> {
        let mails = self.queued_mails(user).await.into_iter();
        mails.map(|mail| text(&mail, "kind").to_owned()).collect()
    }

    /// Begins to add a passkey.
    pub async fn passkey_creation(&self, user: &User) -> Ceremony {
        let path = "/resource/passkeys/options";
        Ceremony::of(&self.by(user, "POST", path).send().await)
    }

    /// Begins a sign-in or a re-authentication with a passkey.
    pub async fn passkey_request(&self) -> Ceremony {
        let path = "/identity/sessions/passkey/options";
        Ceremony::of(&self.post(path).send().await)
    }

    /// A request that ends a ceremony with this credential.
    pub fn create_passkey(&self, user: &User, ceremony: &Ceremony, credential: &Value) -> Request {
        self.by(user, "POST", "/resource/passkeys")
            .json(&ceremony.body(credential))
    }

    /// Adds a passkey of the authenticator, and returns it as the API shows it.
    pub async fn add_passkey(&self, user: &User, authenticator: &mut Authenticator) -> Value {
        let ceremony = self.passkey_creation(user).await;
        let credential = authenticator.register(&ceremony.options);
        let answer = self.create_passkey(user, &ceremony, &credential);
        let answer = answer.send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// Adds so many passkeys, each of another authenticator.
    pub async fn add_passkeys(&self, user: &User, count: usize) {
        for _ in 0..count {
            self.add_passkey(user, &mut self.authenticator()).await;
        }
    }

    /// A request that signs in with the newest credential of the authenticator.
    pub async fn sign_in_with_passkey(&self, authenticator: &mut Authenticator) -> Request {
        let ceremony = self.passkey_request().await;
        let credential = authenticator.sign_in(&ceremony.options);
        self.post("/identity/sessions/passkey")
            .json(&ceremony.body(&credential))
    }

    /// The passkeys of the user, as the API lists them.
    pub async fn passkeys(&self, user: &User) -> Vec<Value> {
        let answer = self.by(user, "GET", "/resource/passkeys").send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json().as_array().unwrap().clone()
    }

    /// Moves the time at which a passkey was added back by that many seconds.
    pub async fn age_passkey(&self, user: &User, passkey: &Value, seconds: i64) {
        let items = self.passkey_items(user).await.into_iter();
        let mut of_id = items.filter(|item| passkey["id"] == text(item, "credential_id"));
        let mut item = of_id.next().expect("a passkey");
        move_back(&mut item, "created_at", seconds);
        self.put(USERS, item).await;
    }

    /// The stored items of the user's passkeys, listed or not.
    pub async fn passkey_items(&self, user: &User) -> Vec<Item> {
        let all = self.stored().await.into_iter();
        all.filter(|(key, item)| key.contains(" PASSKEY#") && item["uid"].as_s() == Ok(&user.uid))
            .map(|(_, item)| item)
            .collect()
    }
}

#[test]
fn the_service_accepts_credentials_of_each_algorithm() {
    use shared::domain::webauthn::{
        AuthenticationResponse, Challenge, RegistrationResponse, RelyingParty, StoredCredential,
    };
    let relying_party = RelyingParty {
        id: "example.com".to_owned(),
        origins: vec!["https://example.com".to_owned()],
    };
    let challenge = Challenge::from_bytes([7; 32]);
    let algorithms = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];
    let offered =
        algorithms.map(|algorithm| json!({ "type": "public-key", "alg": algorithm.cose() }));
    let options = json!({
        "challenge": challenge.encoded(), "rp": { "id": "example.com" }, "rpId": "example.com",
        "user": { "id": "SUQ" }, "pubKeyCredParams": offered, "excludeCredentials": [],
    });
    let mut authenticator = Authenticator::new("https://example.com");
    for algorithm in algorithms {
        authenticator.algorithm = algorithm;
        let registration = RegistrationResponse::from_json(&authenticator.register(&options));
        let credential = relying_party
            .verify_registration(&challenge, &registration.unwrap())
            .unwrap();
        let stored = StoredCredential {
            id: &credential.id,
            user_handle: b"ID",
            public_key: &credential.public_key,
            sign_count: credential.sign_count,
            backup_eligible: credential.backup_eligible,
        };
        let response = AuthenticationResponse::from_json(&authenticator.sign_in(&options));
        let authentication = relying_party
            .verify_authentication(&challenge, &response.unwrap(), &stored)
            .unwrap();
        assert_eq!((credential.sign_count, authentication.sign_count), (1, 2));
    }
}
