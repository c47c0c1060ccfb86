//! Measurement of one program: it is started as Lambda starts a function and receives events one
//! at a time.

use crate::{passkey::PasskeyUser, statistics::milliseconds};
use axum::body::Bytes;
use local::{Error, Failure, Instance, Moment, Stack};
use serde_json::Value as Json;
use std::{fs, time::Duration};

/// Limit for one event; the measurement fails after it.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Events after the first that are not counted: they still fault in memory.
const DISCARDED: usize = 2;

/// A program under measurement.
pub struct Subject {
    pub name: &'static str,
    /// Logical id of the function in the template; the program gets its environment variables.
    pub function: &'static str,
    pub binary: &'static str,
    pub variables: &'static [(&'static str, &'static str)],
    pub events: Events,
    pub status: u64,
}

/// The events that a program receives.
pub enum Events {
    /// The same one each time.
    Same(Bytes),
    /// Sign-ins with the passkey of the user, each for a challenge of its own.
    PasskeySignIns,
}

/// The events of one process.
enum Source<'a> {
    Same(&'a Bytes),
    Passkey(Box<PasskeyUser>),
}

impl Source<'_> {
    async fn next(&self) -> Result<Bytes, Error> {
        match self {
            Self::Same(event) => Ok((*event).clone()),
            Self::Passkey(passkey) => passkey.event().await,
        }
    }
}

/// Measurements of one process.
pub struct Sample {
    /// From the start of the process to its request for the first event, in ms.
    pub init: f64,
    /// From the start of the process to its first response, in ms.
    pub cold: f64,
    /// Latency of each later event, from its delivery to the response, in ms.
    pub warm: Vec<f64>,
    /// CPU time per later event, in ms.
    pub cpu: f64,
    /// Peak resident memory, in MB.
    pub resident: f64,
}

impl Subject {
    pub async fn sample(&self, stack: &Stack, warm: usize) -> Result<Sample, Error> {
        let events = match &self.events {
            Events::Same(event) => Source::Same(event),
            Events::PasskeySignIns => {
                Source::Passkey(Box::new(PasskeyUser::of(stack.url()).await?))
            }
        };
        let first = events.next().await?;
        let failed =
            |failure: Failure| Error::new(format!("{} cannot be measured: {failure:?}", self.name));
        let begun = Moment::now();
        let mut instance = stack
            .functions()
            .start_alone(self.function, self.binary, self.variables)
            .map_err(failed)?;
        let awaited = instance.hand_over(first, TIMEOUT).await.map_err(failed)?;
        let init = milliseconds(begun.elapsed());
        let answer = instance.answer(awaited, TIMEOUT).await.map_err(failed)?;
        let cold = milliseconds(begun.elapsed());
        self.check(&answer)?;
        for _ in 0..DISCARDED {
            self.once(&mut instance, events.next().await?).await?;
        }
        let mut times = Vec::with_capacity(warm);
        let before = cpu_time(&instance);
        for _ in 0..warm {
            times.push(self.once(&mut instance, events.next().await?).await?);
        }
        let cpu = milliseconds(cpu_time(&instance).saturating_sub(before)) / count(warm);
        let resident = resident(&instance);
        // Wait for its end, which would disturb the start of the next one.
        instance.end().await;
        Ok(Sample {
            init,
            cold,
            warm: times,
            cpu,
            resident,
        })
    }

    async fn once(&self, instance: &mut Instance, event: Bytes) -> Result<f64, Error> {
        let failed =
            |failure: Failure| Error::new(format!("{} cannot be measured: {failure:?}", self.name));
        let awaited = instance.hand_over(event, TIMEOUT).await.map_err(failed)?;
        let taken = Moment::now();
        let answer = instance.answer(awaited, TIMEOUT).await.map_err(failed)?;
        let time = milliseconds(taken.elapsed());
        self.check(&answer)?;
        Ok(time)
    }

    /// Fails if the response does not have the expected status.
    fn check(&self, answer: &[u8]) -> Result<(), Error> {
        let response: Json = serde_json::from_slice(answer).unwrap_or_default();
        if response["statusCode"] == self.status {
            return Ok(());
        }
        Err(Error::new(format!(
            "{} returned {} instead of status {}.",
            self.name, response, self.status
        )))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and sizes in bytes are far below 2^53"
)]
pub fn count(number: usize) -> f64 {
    number as f64
}

/// CPU time of all threads; zero without Linux's `/proc`.
fn cpu_time(instance: &Instance) -> Duration {
    let Some(id) = instance.id() else {
        return Duration::ZERO;
    };
    let threads = fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        schedstat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// Peak resident memory, in MB; zero without Linux's `/proc`.
fn resident(instance: &Instance) -> f64 {
    let status = instance
        .id()
        .and_then(|id| fs::read_to_string(format!("/proc/{id}/status")).ok())
        .unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse()
            .ok()
    });
    kilobytes.unwrap_or(0.0_f64) * 1024.0 / 1e6
}
