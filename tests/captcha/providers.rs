//! Verification of captchas at each provider

use serde_json::{Value, json};

use crate::harness::{
    ExternalServices, Latchkey, PASSWORD, Request, User,
    captcha::{ID, PROVIDERS, REFUSED, SECRET, solution},
};

/// An operation that a captcha can protect.
pub struct Protected {
    /// The name in `IDENTITY_CAPTCHA_PROTECTED_ENDPOINTS`.
    pub name: &'static str,
    path: &'static str,
    with_password: bool,
}

pub const PROTECTED: &[Protected] = &[
    Protected {
        name: "user_create",
        path: "/identity/users",
        with_password: true,
    },
    Protected {
        name: "session_create",
        path: "/identity/sessions",
        with_password: true,
    },
    Protected {
        name: "password_reset",
        path: "/identity/users/password/generate_code",
        with_password: false,
    },
    Protected {
        name: "email_confirmation",
        path: "/identity/users/email/generate_code",
        with_password: false,
    },
];

impl Protected {
    /// Path and fields of a request that lacks only a captcha, for an unconfirmed user.
    pub fn form(&self, email: &str) -> (&'static str, Vec<(&'static str, String)>) {
        // The address itself is taken.
        let email = if self.name == "user_create" {
            format!("another-{email}")
        } else {
            email.to_owned()
        };
        let mut fields = vec![("email", email)];
        if self.with_password {
            fields.push(("password", PASSWORD.to_owned()));
        }
        (self.path, fields)
    }
}

/// The request of [`Protected::form`] with a solution.
pub fn request(
    latchkey: &Latchkey,
    operation: &Protected,
    email: &str,
    solution: &Value,
) -> Request {
    let (path, fields) = operation.form(email);
    let mut body: serde_json::Map<String, Value> = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    body.insert("captcha_response".to_owned(), solution.clone());
    latchkey.post(path).json(&body.into())
}

/// [`Latchkey::everything`] without zero counts, which an attempt that was taken back leaves.
pub async fn everything(latchkey: &Latchkey) -> crate::harness::Snapshot {
    let mut all = latchkey.everything().await;
    all.retain(|key, item| {
        !key.contains("LIMIT#sign_in#") || crate::harness::number(item, "count") != 0
    });
    all
}

/// A user who signed up with a captcha.
async fn signed_up(latchkey: &Latchkey, provider: &str) -> User {
    latchkey
        .signed_up_with(
            "captcha-user",
            &json!({ "captcha_response": solution(provider, "yes") }),
        )
        .await
}

#[tokio::test]
async fn with_a_solved_captcha_every_operation_succeeds() {
    for provider in PROVIDERS {
        let services = ExternalServices::start().await;
        let latchkey = services.stack_with_captcha(provider, &[]).await;
        let user = signed_up(&latchkey, provider).await;
        for operation in PROTECTED {
            let answer = request(
                &latchkey,
                operation,
                &user.email,
                &solution(provider, "yes"),
            )
            .send()
            .await;
            assert_eq!(
                answer.status, 201,
                "{provider} {}: {answer:?}",
                operation.name
            );
        }
        assert_eq!(services.requests().len(), 1 + PROTECTED.len());
    }
}

#[tokio::test]
async fn without_a_success_from_the_provider_no_operation_has_an_effect() {
    for provider in PROVIDERS {
        let services = ExternalServices::start().await;
        let latchkey = services.stack_with_captcha(provider, &[]).await;
        let user = signed_up(&latchkey, provider).await;
        latchkey.mail_to(&user.email, 1, |_| true).await;
        let before = everything(&latchkey).await;
        for operation in PROTECTED {
            for word in REFUSED {
                let answer = request(&latchkey, operation, &user.email, &solution(provider, word))
                    .send()
                    .await;
                answer.is_refused(422, &["identity.captcha.verification_failed"]);
            }
        }
        assert_eq!(everything(&latchkey).await, before, "{provider}");
        assert!(
            services
                .requests()
                .iter()
                .all(|request| request.path != "/redirected"),
            "{provider}"
        );
        // The rejected sign-ins did not count as wrong passwords.
        let answer = request(
            &latchkey,
            &PROTECTED[1],
            &user.email,
            &solution(provider, "yes"),
        )
        .send()
        .await;
        assert_eq!(
            (answer.status, latchkey.mails_to(&user.email).await.len()),
            (201, 1),
            "{provider}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_provider_receives_only_the_required_fields() {
    for provider in PROVIDERS {
        let services = ExternalServices::start().await;
        let latchkey = services.stack_with_captcha(provider, &[]).await;
        signed_up(&latchkey, provider).await;
        let received = &services.requests()[0];
        let fields: Vec<(&str, &str)> = received
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let expected: &[(&str, &str)] = match provider {
            "geetest" => &[
                ("captchaid", ID),
                ("challenge", "challenge-1"),
                ("json_format", "1"),
                ("sdk", "latchkey"),
                ("seccode", "yes"),
            ],
            "hcaptcha" => &[
                ("remoteip", "127.0.0.1"),
                ("response", "yes"),
                ("secret", SECRET),
                ("sitekey", ID),
            ],
            _ => &[
                ("remoteip", "127.0.0.1"),
                ("response", "yes"),
                ("secret", SECRET),
            ],
        };
        assert_eq!(fields, expected, "{provider}");
        assert_eq!(
            received.headers["content-type"],
            "application/x-www-form-urlencoded"
        );
        assert!(
            received.headers["user-agent"]
                .to_str()
                .unwrap()
                .starts_with("Latchkey/")
        );
    }
}

#[tokio::test]
async fn a_recaptcha_solution_must_be_text() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_captcha("recaptcha", &[]).await;
    for operation in PROTECTED {
        let object = request(
            &latchkey,
            operation,
            "object@example.com",
            &json!({ "response": "yes" }),
        );
        object
            .send()
            .await
            .is_refused(422, &["identity.captcha.verification_failed"]);
    }
    assert_eq!(services.requests().len(), 0);
}

#[tokio::test]
async fn a_geetest_solution_is_a_signed_object_or_its_text() {
    let services = ExternalServices::start().await;
    let latchkey = services.stack_with_captcha("geetest", &[]).await;
    let genuine = solution("geetest", "yes");
    let with = |name: &str, value: Value| {
        let mut changed = genuine.clone();
        changed[name] = value;
        changed
    };
    let incomplete = [
        json!({}),
        json!("token"),
        json!("{}"),
        json!("[]"),
        with("geetest_validate", json!("")),
        with("geetest_seccode", json!(" ")),
        with("geetest_seccode", json!(1)),
        with("geetest_challenge", Value::Null),
    ];
    let forged = [
        with("geetest_challenge", json!("challenge-2")),
        with(
            "geetest_validate",
            json!("90da68eea680131d576949e998fb4d7e"),
        ),
    ];
    for (responses, status, key) in [
        (&incomplete[..], 400, "identity.captcha.mandatory_fields"),
        (&forged[..], 422, "identity.captcha.verification_failed"),
    ] {
        for response in responses
            .iter()
            .flat_map(|response| [response.clone(), json!(response.to_string())])
        {
            let answer = request(&latchkey, &PROTECTED[0], "geetest@example.com", &response)
                .send()
                .await;
            answer.is_refused(status, &[key]);
        }
    }
    assert_eq!(services.requests().len(), 0);
    for (number, response) in [genuine.clone(), json!(genuine.to_string())]
        .iter()
        .enumerate()
    {
        let answer = request(
            &latchkey,
            &PROTECTED[0],
            &format!("geetest{number}@example.com"),
            response,
        )
        .send()
        .await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    // A form sends the object as text or as one field for each member.
    let text = vec![("captcha_response", genuine.to_string())];
    let members = [
        ("captcha_response[geetest_challenge]", "geetest_challenge"),
        ("captcha_response[geetest_validate]", "geetest_validate"),
        ("captcha_response[geetest_seccode]", "geetest_seccode"),
    ]
    .map(|(field, member)| (field, genuine[member].as_str().unwrap().to_owned()))
    .to_vec();
    for (email, response) in [
        ("geetest-text@example.com", text),
        ("geetest-members@example.com", members),
    ] {
        let (path, mut fields) = PROTECTED[0].form(email);
        fields.extend(response);
        let answer = latchkey
            .post(path)
            .form(&crate::harness::borrowed(&fields))
            .send()
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}
