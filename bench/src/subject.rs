//! What is measured of a program: it is started as Lambda starts a function, and handed events one
//! after the other.

use crate::statistics::milliseconds;
use axum::body::Bytes;
use local::{Error, Failure, Functions, Instance, Moment};
use serde_json::Value as Json;
use std::{fs, time::Duration};

/// What an event may take before the measurement is given up.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Events after the first that are not counted: they still touch memory for the first time.
const DISCARDED: usize = 2;

/// A program under measurement.
pub struct Subject {
    pub name: &'static str,
    /// The function of the template whose variables it gets.
    pub function: &'static str,
    pub binary: &'static str,
    pub variables: &'static [(&'static str, &'static str)],
    pub event: Bytes,
    pub status: u64,
}

/// One process, from its start to its end.
pub struct Sample {
    /// From the start of the process to the moment when it asks for its first event, in ms.
    pub init: f64,
    /// From the start of the process to its first answer, in ms.
    pub cold: f64,
    /// Of each later event from being taken to being answered, in ms.
    pub warm: Vec<f64>,
    /// Time on a processor for each of them, in ms.
    pub cpu: f64,
    /// Memory at its most, in MB.
    pub resident: f64,
}

impl Subject {
    pub async fn sample(&self, functions: &Functions, warm: usize) -> Result<Sample, Error> {
        let failed =
            |failure: Failure| Error::new(format!("{} cannot be measured: {failure:?}", self.name));
        let begun = Moment::now();
        let mut instance = functions
            .start_alone(self.function, self.binary, self.variables)
            .map_err(failed)?;
        let awaited = instance
            .hand_over(self.event.clone(), TIMEOUT)
            .await
            .map_err(failed)?;
        let init = milliseconds(begun.elapsed());
        let answer = instance.answer(awaited, TIMEOUT).await.map_err(failed)?;
        let cold = milliseconds(begun.elapsed());
        self.check(&answer)?;
        for _ in 0..DISCARDED {
            self.once(&mut instance).await?;
        }
        let mut times = Vec::with_capacity(warm);
        let before = cpu_time(&instance);
        for _ in 0..warm {
            times.push(self.once(&mut instance).await?);
        }
        let cpu = milliseconds(cpu_time(&instance).saturating_sub(before)) / count(warm);
        let resident = resident(&instance);
        // Its end would disturb the start of the next one.
        instance.end().await;
        Ok(Sample {
            init,
            cold,
            warm: times,
            cpu,
            resident,
        })
    }

    async fn once(&self, instance: &mut Instance) -> Result<f64, Error> {
        let failed =
            |failure: Failure| Error::new(format!("{} cannot be measured: {failure:?}", self.name));
        let awaited = instance
            .hand_over(self.event.clone(), TIMEOUT)
            .await
            .map_err(failed)?;
        let taken = Moment::now();
        let answer = instance.answer(awaited, TIMEOUT).await.map_err(failed)?;
        let time = milliseconds(taken.elapsed());
        self.check(&answer)?;
        Ok(time)
    }

    /// What answers otherwise than it should is not worth measuring.
    fn check(&self, answer: &[u8]) -> Result<(), Error> {
        let response: Json = serde_json::from_slice(answer).unwrap_or_default();
        if response["statusCode"] == self.status {
            return Ok(());
        }
        Err(Error::new(format!(
            "{} answered {} instead of {}.",
            self.name, response, self.status
        )))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand at the most")]
pub fn count(number: usize) -> f64 {
    number as f64
}

/// What its threads have spent on a processor; zero where the system does not tell.
fn cpu_time(instance: &Instance) -> Duration {
    let Some(id) = instance.id() else {
        return Duration::ZERO;
    };
    let threads = fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let told = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        told.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The most memory that it had, in MB; zero where the system does not tell.
fn resident(instance: &Instance) -> f64 {
    let told = instance
        .id()
        .and_then(|id| fs::read_to_string(format!("/proc/{id}/status")).ok())
        .unwrap_or_default();
    let kilobytes = told.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse()
            .ok()
    });
    kilobytes.unwrap_or(0.0_f64) * 1024.0 / 1e6
}
