//! The costs in docs/OPERATIONS.md

use std::fs;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use serde_yaml_ng::Value;
use shared::platform::clock;

use crate::harness::{
    Answer, Latchkey, Meter, PASSWORD, Request, Template, Units, User, event, otp,
    passkeys::Ceremony, session_id, workspace,
};

/// List prices of us-east-1, in US dollars per million.
const GATEWAY: f64 = 1.0;
const INVOCATION: f64 = 0.2;
const GIGABYTE_SECOND: f64 = 16.6667;
const READ: f64 = 0.125;
const WRITE: f64 = 0.625;
/// Two kilobytes of logs.
const LOG: f64 = 1.0;

/// The rows of the table of costs: the operation, and the numbers from the read units on.
fn rows() -> Vec<(String, Vec<f64>)> {
    let document = fs::read_to_string(workspace().join("docs/OPERATIONS.md")).unwrap();
    let (_, section) = document
        .split_once("\n## Costs\n")
        .expect("docs/OPERATIONS.md has a section Costs");
    let table = section
        .split("\n## ")
        .next()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| `"));
    let cells = table.map(|line| {
        line.trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
    });
    cells
        .map(|cells| {
            (
                cells[0].to_owned(),
                cells[2..]
                    .iter()
                    .map(|cell| cell.parse().unwrap())
                    .collect(),
            )
        })
        .collect()
}

/// The binaries of a row: `session-create` of "`session-create`, second factor".
fn binaries(row: &str) -> impl Iterator<Item = &str> {
    row.split('`').skip(1).step_by(2)
}

#[test]
fn every_operation_is_priced_and_its_costs_add_up() {
    let functions = Template::read().functions;
    let template: Value =
        serde_yaml_ng::from_str(&fs::read_to_string(workspace().join("template.yaml")).unwrap())
            .unwrap();
    let default_memory = template["Globals"]["Function"]["MemorySize"]
        .as_f64()
        .unwrap();
    let rows = rows();
    for function in &functions {
        let is_priced = rows
            .iter()
            .any(|(row, _)| binaries(row).any(|binary| binary == function.binary));
        // Operators invoke the one, and the other runs once a day.
        let is_rare = ["manage-users", "account-erase"].contains(&function.binary.as_str());
        assert_eq!(is_priced, !is_rare, "{}", function.binary);
    }
    for (row, numbers) in &rows {
        let [reads, writes, milliseconds, megabytes, dollars] = numbers[..] else {
            panic!("{row}")
        };
        for binary in binaries(row) {
            let function = functions
                .iter()
                .find(|function| function.binary == binary)
                .expect(row);
            let own =
                &template["Resources"][function.logical_id.as_str()]["Properties"]["MemorySize"];
            assert_eq!(
                own.as_f64().unwrap_or(default_memory).to_string(),
                megabytes.to_string(),
                "{binary}"
            );
            let gateway = if function.routes.is_empty() {
                0.0
            } else {
                GATEWAY
            };
            let compute = milliseconds / 1000.0 * megabytes / 1024.0 * GIGABYTE_SECOND;
            let sum = gateway + INVOCATION + compute + reads * READ + writes * WRITE + LOG;
            assert!((sum - dollars).abs() < 0.0051, "{binary}: {sum:.2}");
        }
    }
}

/// Size of a value in bytes, by DynamoDB's rules.
fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number.len().div_ceil(2) + 1,
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + size(value)).sum::<usize>(),
        AttributeValue::M(values) => {
            3 + values
                .iter()
                .map(|(name, value)| 1 + name.len() + size(value))
                .sum::<usize>()
        }
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        other => panic!("no item has a value of this type: {other:?}"),
    }
}

#[tokio::test]
async fn every_item_of_a_user_fits_one_write_unit() {
    let latchkey = Latchkey::start(&[
        ("IDENTITY_MAIL_INTERVAL", "1"),
        ("IDENTITY_REQUESTS_PER_MINUTE", "60"),
    ])
    .await;
    let user = latchkey.signed_up("units").await;
    latchkey
        .sign_in(&user.email, "Wrong-Horse-7-Battery")
        .send()
        .await
        .is_refused(404, &["identity.session.invalid_params"]);
    let browser = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5";
    let signed_in = latchkey
        .sign_in(&user.email, PASSWORD)
        .header("user-agent", browser)
        .send()
        .await;
    assert_eq!(signed_in.status, 201);
    let known = latchkey.sign_in(&user.email, PASSWORD);
    let known = known.device(&signed_in.device_cookie()).send().await;
    assert_eq!(known.status, 201);
    latchkey.reset_mail(&user.email).await;
    let stored = latchkey.stored().await;
    for kind in [
        "USER#",
        "UID#",
        "SESSION#",
        "ACTIVITY#",
        "MAIL#",
        "RESET",
        "CONFIRM",
        "LIMIT#device#",
        "LIMIT#reset#",
        "LIMIT#requests#",
    ] {
        assert!(stored.keys().any(|key| key.contains(kind)), "{kind}");
    }
    for (key, item) in &stored {
        let bytes: usize = item
            .iter()
            .map(|(name, value)| name.len() + size(value))
            .sum();
        assert!(bytes <= 1024, "{key}: {bytes}");
    }
}

/// The units in a row of the table.
fn documented(rows: &[(String, Vec<f64>)], row: &str) -> Units {
    let (_, numbers) = rows
        .iter()
        .find(|(name, _)| name == row)
        .unwrap_or_else(|| panic!("{row}"));
    // The table adds a tenth of a unit for the use of a session, which is recorded once a minute. No
    // session here is a minute old.
    Units {
        read: numbers[0],
        written: numbers[1].floor(),
    }
}

/// Compares the consumption of operations with the table.
struct Bill {
    latchkey: Latchkey,
    meter: Meter,
    rows: Vec<(String, Vec<f64>)>,
}

impl Bill {
    /// Asserts the units of an operation that sends `mails` mails.
    async fn checks<T>(&self, row: &str, mails: usize, operation: impl Future<Output = T>) -> T {
        let (units, outcome) = self.meter.units(mails, operation).await;
        assert_eq!(units, documented(&self.rows, row), "{row}");
        outcome
    }

    async fn checks_answer(&self, row: &str, mails: usize, request: Request) -> Answer {
        let answer = self.checks(row, mails, request.send()).await;
        assert!(
            answer.status < 300 || row.contains("wrong"),
            "{row}: {answer:?}"
        );
        answer
    }

    /// The operations on passkeys, for a user with a passkey.
    async fn passkeys(&self) {
        let latchkey = &self.latchkey;
        let (_, user) = self
            .meter
            .units(1, latchkey.confirmed("units-passkey"))
            .await;
        let mut authenticator = latchkey.authenticator();
        let adding = latchkey.add_passkey(&user, &mut authenticator);
        let (_, passkey) = self.meter.units(1, adding).await;
        let path = format!("/resource/passkeys/{}", passkey["id"].as_str().unwrap());
        let list = latchkey.by(&user, "GET", "/resource/passkeys");
        self.checks_answer("`passkey-list`", 0, list).await;
        let rename = latchkey
            .by(&user, "PATCH", &path)
            .form(&[("name", "Laptop")]);
        self.checks_answer("`passkey-update`", 0, rename).await;

        let options = latchkey.post("/identity/sessions/passkey/options");
        let options = self.checks_answer("`passkey-sign-in-options`", 0, options);
        let ceremony = Ceremony::of(&options.await);
        let credential = authenticator.sign_in(&ceremony.options);
        let sign_in = latchkey
            .post("/identity/sessions/passkey")
            .json(&ceremony.body(&credential));
        self.checks_answer("`passkey-sign-in`", 0, sign_in).await;

        let options = latchkey.by(&user, "POST", "/resource/passkeys/options");
        let options = self.checks_answer("`passkey-create-options`", 0, options);
        let ceremony = Ceremony::of(&options.await);
        let credential = latchkey.authenticator().register(&ceremony.options);
        let create = latchkey.create_passkey(&user, &ceremony, &credential);
        self.checks_answer("`passkey-create`", 1, create).await;
        let delete = latchkey.by(&user, "DELETE", &path);
        self.checks_answer("`passkey-delete`", 1, delete).await;
    }

    /// A user with a second factor, whose current code is unused.
    async fn enrolled(&self, name: &str) -> (User, otp::Authenticator) {
        self.meter.units(2, self.latchkey.enrolled(name)).await.1
    }
}

#[tokio::test]
async fn the_tables_charge_the_documented_units() {
    let variables = [
        ("IDENTITY_REQUESTS_PER_MINUTE", "1000"),
        ("IDENTITY_MAIL_INTERVAL", "1"),
        ("IDENTITY_SESSION_REQUESTS_PER_MINUTE", "120"),
        otp::FOR_RACES[1],
    ];
    let (latchkey, meter) = Meter::start(&variables).await;
    let bill = Bill {
        latchkey,
        meter,
        rows: rows(),
    };
    let latchkey = &bill.latchkey;
    assert_eq!(documented(&bill.rows, "`mail-send`"), Meter::MAIL);

    let user = bill
        .checks("`user-create`", 1, latchkey.signed_up("units-user"))
        .await;
    let again = latchkey
        .post("/identity/users/email/generate_code")
        .form(&[("email", &user.email)]);
    bill.checks_answer("`email-generate-code`", 1, again).await;
    let mail = latchkey
        .mail_to(&user.email, 2, |mail| mail.confirmation_token().is_some())
        .await;
    let confirm = latchkey
        .post("/identity/users/email/confirm_code")
        .form(&[("token", mail.confirmation_token().unwrap())])
        .cookie(&user.session);
    let confirmed = bill.checks_answer("`email-confirm-code`", 0, confirm).await;
    let user = User::from_answer(&confirmed, PASSWORD);
    let fields = [("password", PASSWORD)];
    let request = latchkey
        .by(&user, "POST", "/resource/sessions/current")
        .form(&fields);
    let renewed = bill
        .checks_answer("`session-reauthenticate`", 0, request)
        .await;
    let user = User::from_answer(&renewed, PASSWORD);

    let signed_in = bill
        .checks_answer(
            "`session-create`",
            0,
            latchkey.sign_in(&user.email, PASSWORD),
        )
        .await;
    let session = signed_in.session();
    let known = latchkey.sign_in(&user.email, PASSWORD);
    let known = known.device(&signed_in.device_cookie());
    bill.checks_answer("`session-create`", 0, known).await;
    bill.checks_answer(
        "`session-create`, wrong password",
        0,
        latchkey.sign_in(&user.email, "Wrong-Horse-7-Battery"),
    )
    .await;
    bill.checks_answer("`session-delete`", 0, latchkey.sign_out(&session))
        .await;
    bill.checks_answer(
        "`user-me`",
        0,
        latchkey.by(&user, "GET", "/resource/users/me"),
    )
    .await;
    let update = latchkey
        .by(&user, "PUT", "/resource/users/me")
        .form(&[("data", "{}")]);
    bill.checks_answer("`user-update`", 0, update).await;
    for path in ["/resource/labels", "/resource/labels/email"] {
        let read = latchkey.by(&user, "GET", path);
        bill.checks_answer("`label-list`, `label-show`", 0, read)
            .await;
    }
    let row = "`label-create`, `label-update`, `label-delete`";
    for (method, path) in [
        ("POST", "/resource/labels"),
        ("PATCH", "/resource/labels/theme"),
        ("DELETE", "/resource/labels/theme"),
    ] {
        let fields = [("key", "theme"), ("value", "dark")];
        let change = latchkey.by(&user, method, path).form(&fields);
        bill.checks_answer(row, 0, change).await;
    }
    bill.checks_answer(
        "`user-api-keys`",
        0,
        latchkey.by(&user, "GET", "/resource/api_keys"),
    )
    .await;
    bill.checks_answer(
        "`user-export`",
        0,
        latchkey.by(&user, "GET", "/resource/users/me/export"),
    )
    .await;
    bill.checks_answer(
        "`user-activity`",
        0,
        latchkey.by(&user, "GET", "/resource/users/activity/all"),
    )
    .await;
    bill.checks_answer(
        "`session-list`",
        0,
        latchkey.by(&user, "GET", "/resource/sessions"),
    )
    .await;
    let other = session_id(&latchkey.signed_in(&user).await);
    bill.checks_answer(
        "`session-end`",
        0,
        latchkey.by(&user, "DELETE", &format!("/resource/sessions/{other}")),
    )
    .await;
    bill.checks_answer(
        "`session-end-others`",
        0,
        latchkey.by(&user, "DELETE", "/resource/sessions"),
    )
    .await;
    bill.checks_answer(
        "`auth`",
        0,
        latchkey
            .get("/auth/orders")
            .header("x-original-method", "GET")
            .cookie(&user.session),
    )
    .await;
    let mut request = event("GET", "/orders");
    request["requestContext"]["http"]["sourceIp"] = json!("127.0.0.1");
    request["headers"]["authorization"] = json!(format!("Bearer {}", user.session));
    let answer = bill
        .checks(
            "`authorize`",
            0,
            latchkey.invoke("AuthorizeFunction", request),
        )
        .await;
    assert_eq!(answer.unwrap()["isAuthorized"], true);

    let change = latchkey.change_email(&user, "units-moved@example.com");
    bill.checks_answer("`email-change`", 2, change).await;
    let mail = latchkey
        .mail_to("units-moved@example.com", 1, |mail| {
            mail.email_change_token().is_some()
        })
        .await;
    let confirm = latchkey.confirm_email_change(&user, mail.email_change_token().unwrap());
    bill.checks_answer("`email-confirm-change`", 1, confirm)
        .await;
    let user = latchkey
        .with_new_session(&User {
            email: "units-moved@example.com".to_owned(),
            ..user
        })
        .await;

    bill.checks_answer(
        "`password-change`",
        1,
        latchkey.change_password(&user, PASSWORD, "Second-Horse-7-Battery"),
    )
    .await;
    bill.checks_answer(
        "`password-generate-code`",
        1,
        latchkey.ask_for_code(&user.email),
    )
    .await;
    let mail = latchkey
        .mail_to(&user.email, 1, |mail| mail.reset_token().is_some())
        .await;
    let confirm = latchkey.confirm(mail.reset_token().unwrap(), "Third-Horse-7-Battery");
    bill.checks_answer("`password-confirm-code`", 1, confirm)
        .await;

    let (_, user) = bill.meter.units(1, latchkey.confirmed("units-otp")).await;
    let generate = latchkey
        .post("/resource/otp/generate_qrcode")
        .bearer(&user.session);
    let answer = bill
        .checks_answer("`otp-generate-qrcode`", 0, generate)
        .await;
    let url = answer.json()["data"]["url"].as_str().unwrap().to_owned();
    let code = otp::code_of(otp::parameter(&url, "secret").unwrap(), otp::step());
    bill.checks_answer(
        "`otp-enable`",
        1,
        latchkey.otp("enable", &user.session, &code),
    )
    .await;
    let (_, user) = bill.meter.units(1, latchkey.confirmed("units-close")).await;
    bill.checks_answer("`user-close`", 1, latchkey.close(&user))
        .await;
    bill.passkeys().await;
    let (user, authenticator) = bill.enrolled("units-otp-session").await;
    latchkey.reset_failures(&user.email).await;
    bill.checks_answer(
        "`session-create`, second factor",
        0,
        latchkey.sign_in_with(&user, &authenticator.code()),
    )
    .await;
    let (user, authenticator) = bill.enrolled("units-otp-device").await;
    let signed_in = latchkey.sign_in_with(&user, &authenticator.code());
    let cookie = signed_in.send().await.device_cookie();
    latchkey
        .edit_user(&user, |item| drop(item.remove("otp_last_step")))
        .await;
    bill.checks_answer(
        "`session-create`, second factor, known device",
        0,
        latchkey
            .sign_in_with(&user, &authenticator.code())
            .device(&cookie),
    )
    .await;
    let (user, authenticator) = bill.enrolled("units-otp-verify").await;
    bill.checks_answer(
        "`otp-verify`",
        0,
        latchkey.otp("verify", &user.session, &authenticator.code()),
    )
    .await;
    let (user, authenticator) = bill.enrolled("units-otp-codes").await;
    bill.checks_answer(
        "`otp-recovery-codes`",
        1,
        latchkey.otp("recovery_codes", &user.session, &authenticator.code()),
    )
    .await;
    let (user, authenticator) = bill.enrolled("units-otp-disable").await;
    bill.checks_answer(
        "`otp-disable`",
        1,
        latchkey.otp("disable", &user.session, &authenticator.code()),
    )
    .await;

    let bounce = json!({
        "source": "aws.ses", "id": "event", "detail-type": "Email Bounced",
        "detail": {
            "eventType": "Bounce",
            "mail": { "destination": [user.email], "tags": { "uid": [user.uid], "mail": ["some-mail"] } },
            "bounce": { "bounceType": "Permanent", "bouncedRecipients": [{ "emailAddress": user.email }], "timestamp": clock::now().rfc3339() },
        },
    });
    bill.checks(
        "`mail-feedback`",
        0,
        latchkey.invoke("MailFeedbackFunction", bounce),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_session_check_reads_the_public_keys_once_a_minute() {
    let (latchkey, meter) = Meter::start(&[]).await;
    let (_, user) = meter.units(1, latchkey.signed_up("units-keys")).await;
    for reads in [1, 0, 0] {
        let me = latchkey.by(&user, "GET", "/resource/users/me").send();
        let (units, answer) = meter.units(0, me).await;
        assert_eq!((answer.status, meter.key_reads()), (200, reads));
        let expected = documented(&rows(), "`user-me`").read;
        assert!((units.read - expected).abs() < f64::EPSILON, "{units:?}");
    }
}
