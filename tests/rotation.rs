//! Rotation of the token secret by an operator.

use serde_json::{Value, json};

use crate::harness::{Answer, Folder, Mail, PASSWORD, Program, eventually, kid, mails_of};

const EMAIL: &str = "rotation@example.com";
const CREDENTIALS: [(&str, &str); 2] = [("email", EMAIL), ("password", PASSWORD)];
const NEW_PASSWORD: &str = "Rotated-Horse-7-Battery";

/// A stack that can be restarted with its stored data.
struct Deployment {
    folder: Folder,
    program: Program,
}

impl Deployment {
    async fn first(name: &str) -> Self {
        let folder = Folder::new(name);
        let program = Self::start(&folder).await;
        assert_eq!(
            program.post("/identity/users", &CREDENTIALS).await.status,
            201
        );
        Self { folder, program }
    }

    async fn start(folder: &Folder) -> Program {
        Program::start(&["--listen", "127.0.0.1:0", "--data-dir", folder.path()]).await
    }

    /// `aws secretsmanager put-secret-value`.
    async fn put_secret(&self, value: &str) {
        let addresses = std::fs::read(format!("{}/stack.json", self.folder.path())).unwrap();
        let addresses: Value = serde_json::from_slice(&addresses).unwrap();
        let request = json!({ "SecretId": "TokenSecret", "SecretString": value.repeat(64) });
        let request = reqwest::Client::new()
            .post(addresses["aws"].as_str().unwrap())
            .header("x-amz-target", "secretsmanager.PutSecretValue")
            .body(request.to_string());
        let answer = self.program.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Restarts the stack, so that every function starts new instances.
    async fn with_new_instances(self) -> Self {
        assert!(self.program.end("INT").await);
        let program = Self::start(&self.folder).await;
        Self {
            folder: self.folder,
            program,
        }
    }

    /// Publishes the keys, and makes the publication old enough for the new key to sign. Restarts
    /// the stack, because its instances know the time of the publication.
    async fn with_established_key(self) -> Self {
        assert_eq!(self.program.get("/.well-known/jwks.json").await.status, 200);
        let key = json!({ "pk": { "S": "KEYS#tokens" } });
        let mut call = json!({ "TableName": "UsersTable", "Key": key });
        let found = self.dynamodb("GetItem", &call).await;
        let mut item = found["Item"].clone();
        let keys = item["keys"]["L"].as_array_mut().unwrap();
        assert_eq!(keys.len(), 2);
        for key in keys {
            key["M"]["signs_from"] = json!({ "N": "0" });
        }
        call = json!({ "TableName": "UsersTable", "Item": item });
        self.dynamodb("PutItem", &call).await;
        self.with_new_instances().await
    }

    async fn dynamodb(&self, operation: &str, call: &Value) -> Value {
        let request = reqwest::Client::new()
            .post(&self.program.dynamodb_url)
            .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            // Any signature: a developer's calls are not checked.
            .header("x-amz-date", "20260101T000000Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/dynamodb/aws4_request, \
                 SignedHeaders=host, Signature=00",
            )
            .body(call.to_string());
        let answer = self.program.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_str(answer.text()).unwrap()
    }

    async fn sign_in(&self) -> String {
        self.program
            .post("/identity/sessions", &CREDENTIALS)
            .await
            .session()
    }

    async fn me(&self, session: &str) -> Answer {
        self.program
            .send(
                reqwest::Client::new()
                    .get(format!("{}/resource/users/me", self.program.url))
                    .bearer_auth(session),
            )
            .await
    }

    /// Requests a reset code and returns its token.
    async fn reset_token(&self) -> String {
        let token = |mail: &Mail| mail.reset_token().map(str::to_owned);
        let mails = async || mails_of(&self.program.get("/_local/mailbox.json").await);
        let before: Vec<String> = mails().await.iter().filter_map(token).collect();
        assert_eq!(
            self.program
                .post(
                    "/identity/users/password/generate_code",
                    &[("email", EMAIL)]
                )
                .await
                .status,
            201
        );
        let newest = async || {
            mails()
                .await
                .iter()
                .filter_map(token)
                .find(|token| !before.contains(token))
        };
        eventually("the mail", newest).await
    }

    async fn confirm(&self, token: &str) -> Answer {
        let fields = [
            ("reset_password_token", token),
            ("password", NEW_PASSWORD),
            ("confirm_password", NEW_PASSWORD),
        ];
        self.program
            .post("/identity/users/password/confirm_code", &fields)
            .await
    }
}

#[tokio::test]
async fn tokens_signed_before_a_rotation_are_valid_until_the_next_one() {
    let stack = Deployment::first("rotation").await;
    let old = stack.sign_in().await;
    let link = stack.reset_token().await;
    assert_eq!((kid(&old), stack.me(&old).await.status), (kid(&link), 200));

    stack.put_secret("1").await;
    // Running instances keep signing with the previous version.
    assert_eq!(stack.me(&old).await.status, 200);
    let during_rotation = stack.sign_in().await;
    assert_eq!(kid(&during_rotation), kid(&old));

    let stack = stack.with_new_instances().await;
    // New instances publish the new key, and sign with it when every instance has read it.
    let early = stack.sign_in().await;
    assert_eq!(kid(&early), kid(&old));
    let stack = stack.with_established_key().await;
    let new = stack.sign_in().await;
    assert_ne!(kid(&new), kid(&old));
    for session in [&old, &during_rotation, &early, &new] {
        assert_eq!(stack.me(session).await.status, 200);
    }

    stack.put_secret("2").await;
    let stack = stack.with_new_instances().await;
    // The old tokens are valid until a function that signs has published the keys.
    let last = stack.sign_in().await;
    assert_eq!(kid(&last), kid(&new));
    assert_eq!(stack.me(&new).await.status, 200);
    stack
        .me(&old)
        .await
        .is_refused(401, &["authz.invalid_session"]);
    stack
        .confirm(&link)
        .await
        .is_refused(422, &["jwt.decode_and_verify"]);
    assert!(stack.program.end("INT").await);
}

#[tokio::test]
async fn a_link_mailed_before_a_rotation_works_afterwards() {
    let stack = Deployment::first("rotation-link").await;
    let link = stack.reset_token().await;
    stack.put_secret("1").await;
    let stack = stack.with_new_instances().await;
    stack.confirm(&link).await.is_empty(201);
    let stack = stack.with_established_key().await;
    assert_ne!(kid(&stack.reset_token().await), kid(&link));
    assert!(stack.program.end("INT").await);
}
