//! Users of the tests, created through the public API.

use serde_json::{Value, json};

use super::{Answer, Request, stack::Latchkey};

/// A password that the password rule accepts.
pub const PASSWORD: &str = "Correct-Horse-7-Battery";

/// The members of a user in an answer.
pub const USER_NAMES: [&str; 15] = [
    "email",
    "uid",
    "role",
    "level",
    "otp",
    "state",
    "referral_uid",
    "csrf_token",
    "data",
    "created_at",
    "updated_at",
    "labels",
    "phones",
    "profiles",
    "data_storages",
];

/// A user who signed up.
#[derive(Clone, Debug)]
pub struct User {
    pub email: String,
    pub password: String,
    pub uid: String,
    /// The token of the session that the sign-up opened.
    pub session: String,
    pub csrf_token: String,
}

impl User {
    pub fn from_answer(answer: &Answer, password: &str) -> Self {
        assert_eq!(answer.status, 201, "{answer:?}");
        let user = answer.json();
        let text = |name: &str| user[name].as_str().unwrap().to_owned();
        Self {
            email: text("email"),
            password: password.to_owned(),
            uid: text("uid"),
            session: answer.session(),
            csrf_token: text("csrf_token"),
        }
    }
}

impl Latchkey {
    /// A new user. The address is derived from the name, which no other test may use.
    pub async fn signed_up(&self, name: &str) -> User {
        self.signed_up_with(name, &json!({})).await
    }

    /// A new user with a confirmed address.
    pub async fn confirmed(&self, name: &str) -> User {
        let user = self.signed_up(name).await;
        self.set_state(&user, "active").await;
        user
    }

    /// A new user who signed up with further parameters.
    pub async fn signed_up_with(&self, name: &str, more: &Value) -> User {
        let mut body = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        User::from_answer(
            &self.post("/identity/users").json(&body).send().await,
            body["password"].as_str().unwrap(),
        )
    }

    pub fn sign_in(&self, email: &str, password: &str) -> Request {
        self.post("/identity/sessions")
            .form(&[("email", email), ("password", password)])
    }

    /// The user with a new session.
    pub async fn with_new_session(&self, user: &User) -> User {
        User::from_answer(
            &self.sign_in(&user.email, &user.password).send().await,
            &user.password,
        )
    }

    /// A request with the user's session cookie and CSRF token, as a front end sends it.
    pub fn by(&self, user: &User, method: &str, path: &str) -> Request {
        self.request(method.parse().unwrap(), path)
            .cookie(&user.session)
            .csrf(&user.csrf_token)
    }

    /// The listed session ids of the user, newest first.
    pub async fn session_ids(&self, user: &User) -> Vec<String> {
        let answer = self.by(user, "GET", "/resource/sessions").send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|session| session["id"].as_str().unwrap().to_owned())
            .collect()
    }

    pub fn change_password(&self, user: &User, old: &str, new: &str) -> Request {
        let fields = [
            ("old_password", old),
            ("new_password", new),
            ("confirm_password", new),
        ];
        self.by(user, "PUT", "/resource/users/password")
            .form(&fields)
    }

    pub fn change_email(&self, user: &User, email: &str) -> Request {
        self.by(user, "POST", "/resource/users/email")
            .form(&[("email", email), ("password", &user.password)])
    }

    pub fn confirm_email_change(&self, user: &User, token: &str) -> Request {
        self.by(user, "POST", "/resource/users/email/confirm")
            .form(&[("token", token)])
    }

    /// A request that closes the account of a user without a second factor.
    pub fn close(&self, user: &User) -> Request {
        self.by(user, "DELETE", "/resource/users/me")
            .form(&[("password", &user.password)])
    }

    /// A user with a confirmed address who closed the account.
    pub async fn closed(&self, name: &str) -> User {
        let user = self.confirmed(name).await;
        self.close(&user).send().await.is_empty(200);
        user
    }

    /// Signs in and returns the token of the new session.
    pub async fn signed_in(&self, user: &User) -> String {
        let answer = self.sign_in(&user.email, &user.password).send().await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.session()
    }

    pub fn sign_out(&self, session: &str) -> Request {
        self.delete("/identity/sessions").cookie(session)
    }

    pub fn ask_for_code(&self, email: &str) -> Request {
        self.post("/identity/users/password/generate_code")
            .form(&[("email", email)])
    }

    pub fn confirm(&self, token: &str, password: &str) -> Request {
        let fields = [
            ("reset_password_token", token),
            ("password", password),
            ("confirm_password", password),
        ];
        self.post("/identity/users/password/confirm_code")
            .form(&fields)
    }
}
