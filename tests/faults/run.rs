//! A long run of operations while calls to AWS services fail at random; it reports the faults, and
//! how much of the acknowledged state was lost

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;

use crate::harness::{Answer, Fault, Faulty, PASSWORD, TIMEOUT, User, otp, text, workspace};

const STEPS: usize = 300;
const SEED: u64 = 20_261_102;

/// Pseudorandom numbers with a fixed seed, so that runs can be repeated (Knuth's linear
/// congruential generator).
#[derive(Clone)]
struct Dice(Arc<Mutex<u64>>);

impl Dice {
    fn roll(&self, sides: usize) -> usize {
        let mut state = self.0.lock().unwrap();
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*state >> 33).unwrap() % sides
    }
}

/// A user with the state that acknowledged operations led to.
struct Person {
    user: User,
    /// The current password. After an unacknowledged change, the old one and the new one.
    passwords: Vec<String>,
    /// Sessions that no operation may have ended.
    sessions: Vec<String>,
    /// Every password and session of the run, including those that are no longer valid.
    secrets: Vec<String>,
    /// Attempts to change the password.
    changes: usize,
}

#[derive(Default)]
struct Tally {
    acknowledged: usize,
    unavailable: usize,
    unreadable: usize,
    lost: usize,
    leaked: usize,
}

impl Tally {
    /// Counts an operation and returns whether it was acknowledged. One that was not may have taken
    /// effect: its status is 503, or 500 if an attribute had a wrong type.
    #[track_caller]
    fn is_done(&mut self, answer: &Answer, success: u16) -> bool {
        let count = match answer.status {
            status if status == success => &mut self.acknowledged,
            503 => &mut self.unavailable,
            500 => &mut self.unreadable,
            _ => panic!("{answer:?}"),
        };
        *count += 1;
        answer.status == success
    }
}

async fn step(
    faulty: &Faulty,
    dice: &Dice,
    people: &mut Vec<Person>,
    tally: &mut Tally,
    number: usize,
) {
    let latchkey = &faulty.latchkey;
    if people.is_empty() || dice.roll(8) == 0 {
        let body = json!({ "email": format!("run-{number}@example.com"), "password": PASSWORD });
        let answer = latchkey.post("/identity/users").json(&body).send().await;
        if tally.is_done(&answer, 201) {
            let user = User::from_answer(&answer, PASSWORD);
            people.push(Person {
                sessions: vec![user.session.clone()],
                passwords: vec![PASSWORD.to_owned()],
                secrets: vec![PASSWORD.to_owned(), user.session.clone()],
                changes: 0,
                user,
            });
        }
        return;
    }
    let chosen = dice.roll(people.len());
    let person = &mut people[chosen];
    match dice.roll(4) {
        0 | 1 if person.passwords.len() == 1 => {
            let answer = latchkey
                .sign_in(&person.user.email, &person.passwords[0])
                .send()
                .await;
            if tally.is_done(&answer, 201) {
                person.sessions.push(answer.session());
                person.secrets.push(answer.session());
            }
        }
        2 if !person.sessions.is_empty() => {
            let session = person.sessions.pop().unwrap();
            let answer = latchkey.sign_out(&session).send().await;
            tally.is_done(&answer, 204);
        }
        // An account has five changes an hour, and one without an answer may have taken effect.
        3 if person.passwords.len() == 1 && !person.sessions.is_empty() && person.changes < 5 => {
            person.changes += 1;
            let old = person.passwords[0].clone();
            let new = format!("Horse-{number}-Battery-Staple");
            let fields = [
                ("old_password", old.as_str()),
                ("new_password", &new),
                ("confirm_password", &new),
            ];
            person.secrets.push(new.clone());
            let session = person.sessions.pop().unwrap();
            let answer = latchkey
                .request("PUT".parse().unwrap(), "/resource/users/password")
                .bearer(&session)
                .form(&fields)
                .send()
                .await;
            // If the change took effect, it ended all other sessions.
            person.sessions.clear();
            if tally.is_done(&answer, 201) {
                person.passwords = vec![new];
                person.sessions.push(session);
            } else {
                person.passwords.push(new);
            }
        }
        _ => {
            let Some(session) = person.sessions.last() else {
                return;
            };
            let answer = latchkey
                .get("/resource/users/me")
                .bearer(session)
                .send()
                .await;
            tally.is_done(&answer, 200);
        }
    }
}

/// The number of acknowledged sessions, passwords and mails that are missing.
async fn losses(faulty: &Faulty, people: &[Person]) -> usize {
    let latchkey = &faulty.latchkey;
    let mut lost = 0;
    for person in people {
        for session in &person.sessions {
            let answer = latchkey
                .get("/resource/users/me")
                .bearer(session)
                .send()
                .await;
            lost += usize::from(answer.status != 200);
        }
        let mut opened = 0;
        for password in &person.passwords {
            opened += usize::from(
                latchkey
                    .sign_in(&person.user.email, password)
                    .send()
                    .await
                    .status
                    == 201,
            );
        }
        lost += usize::from(opened != 1);
        // One confirmation, and one notice per change that took effect. A mail whose release failed
        // keeps its lease for a minute; removing the lease avoids that wait.
        for mail in latchkey.queued_mails(&person.user).await {
            latchkey
                .edit_grant(&person.user, text(&mail, "sk"), |item| {
                    drop(item.remove("leased_until"));
                })
                .await;
        }
        let queued = latchkey.queued_mails(&person.user).await.len();
        // The stream may retry only after half a minute.
        let arriving = async {
            while latchkey.mails_to(&person.user.email).await.len() < queued {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let _ = tokio::time::timeout(3 * TIMEOUT, arriving).await;
        lost += usize::from(latchkey.mails_to(&person.user.email).await.len() != queued);
    }
    lost
}

/// The number of log lines that contain a password, a session or a stored hash.
async fn leaks(faulty: &Faulty, people: &[Person]) -> usize {
    let mut secrets: Vec<String> = people
        .iter()
        .flat_map(|person| person.secrets.clone())
        .collect();
    for item in faulty.latchkey.stored().await.values() {
        secrets.extend(
            item.get("password_hash")
                .and_then(|value| value.as_s().ok())
                .cloned(),
        );
    }
    let log = faulty.latchkey.log();
    assert!(
        !log.is_empty() && secrets.len() > people.len(),
        "the log or the list of secrets is empty"
    );
    log.iter()
        .filter(|line| secrets.iter().any(|secret| line.contains(secret.as_str())))
        .count()
}

#[tokio::test]
async fn acknowledged_operations_survive_injected_faults() {
    let faulty = Faulty::start(&otp::FOR_RACES).await;
    let dice = Dice(Arc::new(Mutex::new(SEED)));
    let mut people = Vec::new();
    let mut tally = Tally::default();
    let injecting = dice.clone();
    let mut chosen: BTreeMap<(String, Fault), usize> = BTreeMap::new();
    faulty.plan(move |operation| {
        if injecting.roll(5) != 0 {
            return None;
        }
        // A mail whose acceptance is lost is sent twice, as documented, so it cannot be counted.
        let is_certain = |fault: &Fault| {
            operation != "SendEmail"
                || ![Fault::AnswerLost, Fault::AnswerCut, Fault::BodyCut].contains(fault)
        };
        // Each call gets the fault that its operation has had least often, so that every fault
        // occurs.
        let met = |fault: &Fault| {
            chosen
                .get(&(operation.to_owned(), *fault))
                .copied()
                .unwrap_or_default()
        };
        let fault = Fault::of(operation)
            .into_iter()
            .filter(is_certain)
            .min_by_key(met)?;
        *chosen.entry((operation.to_owned(), fault)).or_default() += 1;
        Some(fault)
    });
    for number in 0..STEPS {
        step(&faulty, &dice, &mut people, &mut tally, number).await;
    }
    faulty.heal();
    tally.lost = losses(&faulty, &people).await;
    tally.leaked = leaks(&faulty, &people).await;
    let report = report(&faulty.injected(), &tally, people.len());
    println!("{report}");
    if shared::platform::environment::variable("LATCHKEY_FAULT_REPORT").is_some() {
        fs::write(workspace().join("docs/FAULTS.md"), &report).unwrap();
    }
    assert_eq!((tally.lost, tally.leaked), (0, 0), "{report}");
    let injected = faulty.injected();
    let count = |fault: Fault| injected.get(&fault).copied().unwrap_or_default();
    // Only attributes of a wrong or unknown type may cause a status 500.
    assert!(
        tally.unreadable <= count(Fault::WrongType) + count(Fault::UnknownType),
        "{report}"
    );
    let kinds: BTreeSet<Fault> = [
        "TransactWriteItems",
        "BatchWriteItem",
        "BatchGetItem",
        "UpdateItem",
    ]
    .into_iter()
    .flat_map(Fault::of)
    .collect();
    assert!(
        tally.acknowledged > STEPS / 2 && kinds.iter().all(|kind| count(*kind) > 0),
        "{report}"
    );
}

fn report(injected: &BTreeMap<Fault, usize>, tally: &Tally, people: usize) -> String {
    let mut text = format!(
        "# Fault injection

This page reports a run of {STEPS} sequential steps. A step performs one operation at most: sign-up,
sign-in, sign-out, change of the password, or reading the user. During the run, a proxy between the
functions and the development stack injected a fault into every fifth call, on average, to DynamoDB,
SES and Secrets Manager.

| fault | calls |
| --- | --- |
"
    );
    for (fault, count) in injected {
        let _ = writeln!(text, "| {} | {count} |", fault.description());
    }
    let Tally {
        acknowledged,
        unavailable,
        unreadable,
        lost,
        leaked,
    } = tally;
    let _ = write!(
        text,
        "
| outcome | |
| --- | --- |
| operations acknowledged | {acknowledged} |
| status 503, to be retried | {unavailable} |
| status 500, because an attribute that was read had a wrong type | {unreadable} |
| accounts created | {people} |
| acknowledged accounts, passwords, sessions and mails that were lost | {lost} |
| log lines with a password, a session or a stored hash | {leaked} |

The run fails on any other status. It also fails if a password does not sign in to its account
afterwards, if two passwords of an account sign in, if a session is missing, or if a queued mail
does not arrive exactly once. Lost responses of SES are not injected, because such a mail is sent
twice.

This command regenerates the page:
`LATCHKEY_FAULT_REPORT=1 cargo test --test api acknowledged_operations_survive`.
"
    );
    text
}
