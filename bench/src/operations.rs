//! DynamoDB round trips and request units of one call of each operation, by a new user.

use crate::{
    event::{EMAIL, PASSWORD},
    passkey::PasskeyUser,
};
use local::{Error, Log, Meter, Options, Stack};
use serde_json::{Value as Json, json};
use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Limit for the log line of a request to appear.
const TIMEOUT: Duration = Duration::from_secs(10);

/// DynamoDB usage of one call of an operation.
pub struct Cost {
    pub operation: &'static str,
    pub round_trips: u64,
    /// Read request units.
    pub read: f64,
    /// Write request units.
    pub written: f64,
}

struct Client {
    url: String,
    http: reqwest::Client,
    meter: Meter,
    lines: Arc<Mutex<Vec<String>>>,
}

pub async fn costs(binaries: &Path) -> Result<Vec<Cost>, Error> {
    let meter = Meter::start().await?;
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let stack = Stack::start(Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: None,
        binaries: binaries.to_owned(),
        env: [
            ("AWS_ENDPOINT_URL_DYNAMODB", meter.url()),
            ("IDENTITY_REQUESTS_PER_MINUTE", "60"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        log: Log::Captured(Arc::clone(&lines)),
        ..Options::default()
    })
    .await?;
    meter.stand_before(stack.dynamodb_url());
    let client = Client {
        url: stack.url().to_owned(),
        http: reqwest::Client::new(),
        meter,
        lines,
    };
    let costs = client.costs().await;
    stack.stop().await;
    costs
}

impl Client {
    async fn costs(&self) -> Result<Vec<Cost>, Error> {
        let post =
            |path: &str, body: Json| self.http.post(format!("{}{path}", self.url)).json(&body);
        let credentials = json!({ "email": EMAIL, "password": PASSWORD });
        post("/identity/users", credentials.clone()).send().await?;
        // Each operation is called once first: the cold start's round trip to Secrets Manager is
        // not a cost of the operation.
        post(
            "/identity/sessions",
            json!({ "email": "nobody@example.com", "password": "x" }),
        )
        .send()
        .await?;
        let (sign_in, answer) = self
            .cost("session-create", post("/identity/sessions", credentials))
            .await?;
        let cookies = answer
            .headers()
            .get_all("set-cookie")
            .iter()
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        let cookie = cookies.collect::<Vec<_>>().join("; ");
        let me = || {
            self.http
                .get(format!("{}/resource/users/me", self.url))
                .header("cookie", &cookie)
        };
        me().send().await?;
        let (check, _) = self.cost("user-me", me()).await?;
        let passkey = PasskeyUser::of(&self.url).await?;
        let by_passkey = async || {
            let body = passkey.sign_in().await?;
            Ok::<_, Error>(post("/identity/sessions/passkey", body))
        };
        by_passkey().await?.send().await?;
        let (by_passkey, _) = self.cost("passkey-sign-in", by_passkey().await?).await?;
        let ask = |email: &str| {
            post(
                "/identity/users/password/generate_code",
                json!({ "email": email }),
            )
        };
        ask("nobody@example.com").send().await?;
        let (asked, _) = self.cost("password-generate-code", ask(EMAIL)).await?;
        let reset = |token: &str| {
            let new = "Battery-Staple-43";
            post(
                "/identity/users/password/confirm_code",
                json!({ "reset_password_token": token, "password": new, "confirm_password": new }),
            )
        };
        reset("none").send().await?;
        let token = self.reset_token().await?;
        let (confirmed, _) = self.cost("password-confirm-code", reset(&token)).await?;
        Ok(vec![sign_in, by_passkey, check, asked, confirmed])
    }

    async fn cost(
        &self,
        operation: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<(Cost, reqwest::Response), Error> {
        self.settled().await;
        let before = self.answered(operation).len();
        self.meter.forget();
        let answer = request.send().await?;
        if !answer.status().is_success() {
            let lines = local::lock(&self.lines).join("\n");
            return Err(
                Error::new(format!("{operation} returned {}.", answer.status())).advice(lines),
            );
        }
        let line = tokio::time::timeout(TIMEOUT, async {
            loop {
                if let Some(line) = self.answered(operation).into_iter().nth(before) {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let line = line
            .await
            .map_err(|_| Error::new(format!("{operation} logged no line for its response.")))?;
        self.settled().await;
        let consumed = self.meter.consumed();
        // A mail costs two updates of its item (claim and settle) and one read of the user.
        let mails = f64::from(u32::try_from(consumed.mail_updates / 2).unwrap_or_default());
        let round_trips = line["fields"]["round_trips"].as_u64().unwrap_or_default();
        Ok((
            Cost {
                operation,
                round_trips,
                read: consumed.read - mails,
                written: consumed.written - 2.0 * mails,
            },
            answer,
        ))
    }

    /// Waits until consumption stops: mails are sent asynchronously, after the response.
    async fn settled(&self) {
        let mut before = self.meter.consumed();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = self.meter.consumed();
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// The log lines of a function, one per request that it handled.
    fn answered(&self, operation: &str) -> Vec<Json> {
        let lines = local::lock(&self.lines).clone();
        let lines = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Json>(line).ok());
        lines
            .filter(|line| {
                line["fields"]["operation"] == operation && line["fields"]["message"] == "answered"
            })
            .collect()
    }

    async fn reset_token(&self) -> Result<String, Error> {
        let mails = self
            .http
            .get(format!("{}/_local/mailbox.json", self.url))
            .send()
            .await?;
        let mails = mails.text().await?;
        let (_, token) = mails
            .rsplit_once("reset_token=")
            .ok_or_else(|| Error::new("The mailbox holds no mail with a reset token."))?;
        Ok(token
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
            .collect())
    }
}
