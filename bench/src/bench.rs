//! Times the functions on this machine, one request at a time.

use crate::{
    event::{EMAIL, PASSWORD, event},
    figures::{self, Figure, Measured, figures},
    operations,
    statistics::{median, milliseconds},
    subject::{Events, Sample, Subject},
};
use clap::Args;
use flate2::{Compression, write::DeflateEncoder};
use indicatif::{ProgressBar, ProgressStyle};
use local::{Error, Log, Moment, Options, Stack};
use serde_json::{Value as Json, json};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// Sign-ins before memory is measured.
const MANY: usize = 400;
/// Requests through the gateway.
const REQUESTS: usize = 500;

/// Measures the release binaries of the functions.
///
/// Starts each binary as Lambda does, in turn with a function that does nothing, so that other load
/// on the machine affects all of them alike. Ratios are computed within a round. On a busy machine,
/// run the command under `chrt -r 1` for steadier figures.
#[derive(Args)]
pub struct Bench {
    /// Number of times to start each program
    #[arg(long, value_name = "N", default_value_t = 12)]
    rounds: usize,

    /// Number of events to measure after each start
    #[arg(long, value_name = "N", default_value_t = 40)]
    warm: usize,

    /// Write all figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Fail if a figure exceeds its budget
    #[arg(long)]
    check: bool,
}

impl Bench {
    pub async fn run(self) -> Result<(), Error> {
        let binaries = local::cargo_build(&[
            "--release",
            "--package=latchkey-functions",
            "--bin=ping",
            "--bin=session-create",
            "--bin=user-create",
            "--bin=user-me",
            "--bin=password-generate-code",
            "--bin=password-confirm-code",
            "--bin=mail-send",
            "--bin=email-confirm-code",
            "--bin=passkey-create-options",
            "--bin=passkey-create",
            "--bin=passkey-sign-in-options",
            "--bin=passkey-sign-in",
            "--example=bare",
            "--example=bare-hash",
        ])
        .await?;
        let measured = Measured {
            programs: self.rounds(&binaries).await?,
            resident_after_many: with_stack(&binaries, resident_after_many).await?,
            zips: ["ping", "session-create", "passkey-sign-in"]
                .into_iter()
                .map(|binary| Ok((binary, deflated(&binaries.join(binary))?)))
                .collect::<Result<_, Error>>()?,
            overhead: with_stack(&binaries, overhead).await?,
            costs: operations::costs(&binaries).await?,
        };
        let figures = figures(&measured)?;
        let tables = [
            figures::programs_table(&measured),
            figures::costs_table(&measured),
            figures::figures_table(&figures),
        ];
        local::print_line(tables.concat())?;
        if let Some(file) = &self.json {
            let text = format!("{:#}\n", figures::document(&measured, &figures));
            fs::write(file, text)
                .map_err(|error| Error::new(format!("{}: {error}", file.display())))?;
        }
        let past: Vec<&str> = figures
            .iter()
            .filter(|figure| !figure.holds())
            .map(|figure: &Figure| figure.name)
            .collect();
        if self.check && !past.is_empty() {
            return Err(Error::new(format!("These figures exceed their budget: {}.", past.join("; ")))
                .advice("docs/PERFORMANCE.md explains what they depend on. The budget is in bench/src/budget.json."));
        }
        Ok(())
    }

    /// The samples of each program, one per round. Each round starts a new stack, because the
    /// DynamoDB emulator slows down as it fills. Every other round reverses the order, so that no
    /// program always follows the same one.
    async fn rounds(&self, binaries: &Path) -> Result<Vec<(&'static str, Vec<Sample>)>, Error> {
        let subjects = subjects()?;
        let style = ProgressStyle::with_template("{msg:24} {bar:40} {pos}/{len}, {eta} left")
            .unwrap_or(ProgressStyle::default_bar());
        let length = u64::try_from(self.rounds * subjects.len()).unwrap_or_default();
        let progress = ProgressBar::new(length).with_style(style);
        let mut programs: Vec<_> = subjects
            .iter()
            .map(|subject| (subject.name, Vec::new()))
            .collect();
        for round in 0..self.rounds {
            let order = turn(subjects.len(), round);
            let samples = async |stack: &Stack| {
                let mut samples = Vec::new();
                for &index in &order {
                    progress.set_message(subjects[index].name);
                    samples.push((index, subjects[index].sample(stack, self.warm).await?));
                    progress.inc(1);
                }
                Ok(samples)
            };
            for (index, sample) in with_stack(binaries, samples).await? {
                programs[index].1.push(sample);
            }
        }
        progress.finish_and_clear();
        Ok(programs)
    }
}

/// The order in which a round measures the programs, as indexes.
fn turn(programs: usize, round: usize) -> Vec<usize> {
    let order = (0..programs).map(|place| (round + place) % programs);
    if round.is_multiple_of(2) {
        order.collect()
    } else {
        order.rev().collect()
    }
}

/// Runs a measurement on a new stack with one user.
async fn with_stack<T>(
    binaries: &Path,
    measure: impl AsyncFnOnce(&Stack) -> Result<T, Error>,
) -> Result<T, Error> {
    let stack = start(binaries).await?;
    let measured = match sign_up(&stack).await {
        Ok(()) => measure(&stack).await,
        Err(error) => Err(error),
    };
    stack.stop().await;
    measured
}

/// Peak memory of `session-create` after `MANY` sign-ins, in MB.
async fn resident_after_many(stack: &Stack) -> Result<f64, Error> {
    Ok(subject(figures::SIGN_IN)?
        .sample(stack, MANY)
        .await?
        .resident)
}

/// Latency that the gateway adds to an invocation of a bare function, in ms.
async fn overhead(stack: &Stack) -> Result<f64, Error> {
    let bare = subject(figures::BARE)?.sample(stack, REQUESTS).await?;
    Ok(through_gateway(stack).await? - median(&bare.warm))
}

/// Starts a stack in memory, without rate limits.
async fn start(binaries: &Path) -> Result<Stack, Error> {
    Stack::start(Options {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: None,
        binaries: binaries.to_owned(),
        log: Log::Captured(Arc::<Mutex<Vec<String>>>::default()),
        ..Options::default()
    })
    .await
}

async fn sign_up(stack: &Stack) -> Result<(), Error> {
    let credentials = json!({ "email": EMAIL, "password": PASSWORD });
    let request = reqwest::Client::new()
        .post(format!("{}/identity/users", stack.url()))
        .json(&credentials);
    let answer = request.send().await?;
    if answer.status() == 201 {
        Ok(())
    } else {
        Err(Error::new(format!(
            "POST /identity/users returned {} instead of 201.",
            answer.status()
        )))
    }
}

/// The measured programs. Back-off is off for wrong passwords, or it would start after five.
fn subjects() -> Result<Vec<Subject>, Error> {
    const UNLIMITED: &[(&str, &str)] = &[("IDENTITY_SIGN_IN_FREE_ATTEMPTS", "0")];
    let sign_in = |email: &str, password: &str| {
        event(
            "session-create",
            &json!({ "email": email, "password": password }),
        )
    };
    let session_create = |name, variables, event, status| Subject {
        name,
        function: "SessionCreateFunction",
        binary: "session-create",
        variables,
        events: Events::Same(event),
        status,
    };
    let ping = |name, binary| {
        let event = event("ping", &Json::Null)?;
        Ok::<_, Error>(Subject {
            name,
            function: "PingFunction",
            binary,
            variables: &[],
            events: Events::Same(event),
            status: 200,
        })
    };
    Ok(vec![
        ping(figures::BARE, "examples/bare")?,
        ping(figures::PING, "ping")?,
        Subject {
            name: figures::BARE_HASH,
            status: 201,
            ..ping(figures::BARE_HASH, "examples/bare-hash")?
        },
        session_create(figures::SIGN_IN, &[], sign_in(EMAIL, PASSWORD)?, 201),
        session_create(
            figures::WRONG_PASSWORD,
            UNLIMITED,
            sign_in(EMAIL, "Wrong-Horse-42")?,
            404,
        ),
        session_create(
            figures::UNKNOWN_ADDRESS,
            UNLIMITED,
            sign_in("eve@example.com", "Wrong-Horse-42")?,
            404,
        ),
        Subject {
            name: figures::PASSKEY,
            function: "PasskeySignInFunction",
            binary: "passkey-sign-in",
            variables: &[],
            events: Events::PasskeySignIns,
            status: 201,
        },
    ])
}

fn subject(name: &str) -> Result<Subject, Error> {
    let named = subjects()?.into_iter().find(|subject| subject.name == name);
    named.ok_or_else(|| Error::new(format!("No measured program is named \"{name}\".")))
}

/// Size of a program in a deployment package, compressed with DEFLATE, in bytes.
fn deflated(program: &Path) -> Result<usize, Error> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&fs::read(program)?)?;
    Ok(encoder.finish()?.len())
}

/// Median latency of `ping` through the gateway, in ms.
async fn through_gateway(stack: &Stack) -> Result<f64, Error> {
    let http = reqwest::Client::new();
    let url = format!("{}/identity/ping", stack.url());
    let mut times = Vec::new();
    for _ in 0..REQUESTS {
        let begun = Moment::now();
        let answer = http.get(&url).send().await?;
        answer.bytes().await?;
        times.push(milliseconds(begun.elapsed()));
    }
    Ok(median(&times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_measures_every_program_and_the_order_changes_between_rounds() {
        let mut before_the_first = std::collections::BTreeSet::new();
        for round in 0..12 {
            let order = turn(7, round);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6]);
            let place = order
                .iter()
                .position(|&program| program == 0)
                .expect("program 0 is in the order");
            before_the_first.insert(place.checked_sub(1).map(|place| order[place]));
        }
        assert_eq!(before_the_first, [None, Some(1), Some(6)].into());
    }
}
