//! Figures computed from the measurements, and their budget.

use crate::{
    operations::Cost,
    statistics::{median, quantile},
    subject::{Sample, count},
};
use local::Error;
use serde_json::{Map, Value as Json, json};
use std::{collections::BTreeMap, fmt::Write as _};

pub const BARE: &str = "bare";
pub const BARE_HASH: &str = "bare with a hash";
pub const PING: &str = "ping";
pub const SIGN_IN: &str = "session-create";
pub const WRONG_PASSWORD: &str = "wrong password";
pub const PASSKEY: &str = "passkey-sign-in";
pub const UNKNOWN_ADDRESS: &str = "unknown address";

/// The upper limit of each figure.
const BUDGET: &str = include_str!("budget.json");

// List prices of us-east-1, in US dollars per million.
/// A request to an HTTP API, and the invocation.
const REQUEST: f64 = 1.00 + 0.20;
/// Lambda's duration, on the processor architecture of this machine.
const GIGABYTE_MILLISECOND: f64 = if cfg!(target_arch = "aarch64") {
    0.013_333_4
} else {
    0.016_666_7
};
/// A read request unit of DynamoDB.
const READ: f64 = 0.125;
/// A write request unit of DynamoDB.
const WRITE: f64 = 0.625;
/// Memory of `session-create`, in GB: the size at which Lambda allocates one whole processor.
const MEMORY: f64 = 1769.0 / 1024.0;
/// Assumed latency of a round trip to DynamoDB within a region, in ms.
const ROUND_TRIP: f64 = 5.0;

/// The results of all measurements.
pub struct Measured {
    pub programs: Vec<(&'static str, Vec<Sample>)>,
    /// MB.
    pub resident_after_many: f64,
    /// Bytes.
    pub zips: BTreeMap<&'static str, usize>,
    /// Latency that the gateway adds to an invocation of a bare function, in ms.
    pub overhead: f64,
    pub costs: Vec<Cost>,
}

/// A value and its upper limit.
pub struct Figure {
    pub name: &'static str,
    pub value: f64,
    pub budget: f64,
}

impl Figure {
    pub fn holds(&self) -> bool {
        self.value <= self.budget
    }
}

impl Measured {
    fn samples(&self, program: &str) -> &[Sample] {
        self.programs
            .iter()
            .find(|(name, _)| *name == program)
            .map_or(&[], |(_, samples)| samples)
    }

    fn middle(&self, program: &str, of: impl Fn(&Sample) -> f64) -> f64 {
        median(&self.samples(program).iter().map(of).collect::<Vec<_>>())
    }

    /// The median of the ratios of all rounds.
    fn ratio(&self, program: &str, base: &str, of: impl Fn(&Sample) -> f64) -> f64 {
        let rounds = self.samples(program).iter().zip(self.samples(base));
        median(
            &rounds
                .map(|(one, other)| of(one) / of(other))
                .collect::<Vec<_>>(),
        )
    }

    /// A quantile of the warm latencies of all rounds, in ms.
    fn warm(&self, program: &str, share: f64) -> f64 {
        let all: Vec<f64> = self
            .samples(program)
            .iter()
            .flat_map(|sample| sample.warm.iter().copied())
            .collect();
        quantile(&all, share)
    }

    fn cost(&self, operation: &str) -> Option<&Cost> {
        self.costs.iter().find(|cost| cost.operation == operation)
    }

    fn round_trips(&self, operation: &str) -> f64 {
        self.cost(operation).map_or(f64::INFINITY, |cost| {
            count(usize::try_from(cost.round_trips).unwrap_or_default())
        })
    }

    /// Cost of a million sign-ins, in US dollars.
    fn dollars(&self) -> f64 {
        let Some(cost) = self.cost(SIGN_IN) else {
            return f64::INFINITY;
        };
        let time =
            self.middle(SIGN_IN, |sample| sample.cpu) + self.round_trips(SIGN_IN) * ROUND_TRIP;
        REQUEST + time * MEMORY * GIGABYTE_MILLISECOND + cost.read * READ + cost.written * WRITE
    }

    fn megabytes(&self, binary: &str) -> f64 {
        self.zips
            .get(binary)
            .map_or(f64::INFINITY, |&size| count(size) / 1e6)
    }
}

fn p50(sample: &Sample) -> f64 {
    median(&sample.warm)
}

/// Each figure with its budget; an error if `budget.json` lacks one.
pub fn figures(measured: &Measured) -> Result<Vec<Figure>, Error> {
    let budget: BTreeMap<String, f64> =
        serde_json::from_str(BUDGET).map_err(|error| Error::new(error.to_string()))?;
    let unknown = measured.ratio(UNKNOWN_ADDRESS, WRONG_PASSWORD, p50);
    let figures = [
        (
            "init of session-create / bare",
            measured.ratio(SIGN_IN, BARE, |sample| sample.init),
        ),
        (
            "cold sign-in / bare with a hash",
            measured.ratio(SIGN_IN, BARE_HASH, |sample| sample.cold),
        ),
        (
            "warm sign-in p50 / bare with a hash",
            measured.ratio(SIGN_IN, BARE_HASH, p50),
        ),
        (
            "CPU of a sign-in / bare with a hash",
            measured.ratio(SIGN_IN, BARE_HASH, |sample| sample.cpu),
        ),
        (
            "warm sign-in p99 / p50 of bare with a hash",
            measured.warm(SIGN_IN, 0.99) / measured.warm(BARE_HASH, 0.5),
        ),
        (
            "memory of session-create after 400 sign-ins, MB",
            measured.resident_after_many,
        ),
        (
            "zip of session-create, MB",
            measured.megabytes("session-create"),
        ),
        ("zip of ping, MB", measured.megabytes("ping")),
        (
            "zip of passkey-sign-in, MB",
            measured.megabytes("passkey-sign-in"),
        ),
        (
            "CPU of a passkey sign-in, ms",
            measured.middle(PASSKEY, |sample| sample.cpu),
        ),
        (
            "warm passkey sign-in p50 / warm sign-in p50",
            measured.ratio(PASSKEY, SIGN_IN, p50),
        ),
        (
            "cold ping / bare",
            measured.ratio(PING, BARE, |sample| sample.cold),
        ),
        ("warm ping p50 / bare", measured.ratio(PING, BARE, p50)),
        ("round trips of a sign-in", measured.round_trips(SIGN_IN)),
        (
            "round trips of a passkey sign-in",
            measured.round_trips(PASSKEY),
        ),
        (
            "round trips of a session check",
            measured.round_trips("user-me"),
        ),
        (
            "round trips of generate_code",
            measured.round_trips("password-generate-code"),
        ),
        (
            "round trips of confirm_code",
            measured.round_trips("password-confirm-code"),
        ),
        ("a million sign-ins, USD", measured.dollars()),
        (
            "unknown address against wrong password, %",
            (unknown - 1.0).abs() * 100.0,
        ),
        (
            "development stack, ms a request over bare",
            measured.overhead,
        ),
    ];
    let with_budget = figures.map(|(name, value)| {
        let budget = budget
            .get(name)
            .copied()
            .ok_or_else(|| Error::new(format!("budget.json has no entry \"{name}\".")))?;
        Ok(Figure {
            name,
            value,
            budget,
        })
    });
    with_budget.into_iter().collect()
}

/// One line per program, in ms and MB.
pub fn programs_table(measured: &Measured) -> String {
    let mut table = format!("\n{:18}", "ms (memory: MB)");
    for title in ["init", "cold", "p50", "p95", "p99", "CPU", "memory"] {
        let _ = write!(table, "{title:>9}");
    }
    for (name, _) in &measured.programs {
        let _ = write!(table, "\n{name:18}");
        for value in columns(measured, name) {
            let _ = write!(table, "{value:9.2}");
        }
    }
    table + "\n"
}

fn columns(measured: &Measured, program: &str) -> [f64; 7] {
    [
        measured.middle(program, |sample| sample.init),
        measured.middle(program, |sample| sample.cold),
        measured.warm(program, 0.5),
        measured.warm(program, 0.95),
        measured.warm(program, 0.99),
        measured.middle(program, |sample| sample.cpu),
        measured.middle(program, |sample| sample.resident),
    ]
}

/// One line per operation.
pub fn costs_table(measured: &Measured) -> String {
    let mut table = format!(
        "\n{:24}{:>12}{:>12}{:>15}\n",
        "DynamoDB", "round trips", "units read", "units written"
    );
    for Cost {
        operation,
        round_trips,
        read,
        written,
    } in &measured.costs
    {
        let _ = writeln!(
            table,
            "{operation:24}{round_trips:12}{read:12.1}{written:15.1}"
        );
    }
    table
}

pub fn figures_table(figures: &[Figure]) -> String {
    let mut table = format!("\n{:50}{:>9}{:>9}\n", "figure", "value", "budget");
    for figure in figures {
        let verdict = if figure.holds() { "" } else { "  over budget" };
        let _ = writeln!(
            table,
            "{:50}{:9.2}{:9.2}{verdict}",
            figure.name, figure.value, figure.budget
        );
    }
    table
}

/// All results as JSON.
pub fn document(measured: &Measured, figures: &[Figure]) -> Json {
    let names = [
        "init_ms",
        "cold_ms",
        "p50_ms",
        "p95_ms",
        "p99_ms",
        "cpu_ms",
        "memory_mb",
    ];
    let programs: Map<String, Json> = measured
        .programs
        .iter()
        .map(|(name, samples)| {
            let mut program: Map<String, Json> = names
                .iter()
                .map(|name| (*name).to_owned())
                .zip(columns(measured, name).map(Json::from))
                .collect();
            program.insert("starts".to_owned(), samples.len().into());
            ((*name).to_owned(), program.into())
        })
        .collect();
    let costs: Map<String, Json> = measured
        .costs
        .iter()
        .map(|cost| {
            let units = json!({ "round_trips": cost.round_trips, "units_read": cost.read, "units_written": cost.written });
            (cost.operation.to_owned(), units)
        })
        .collect();
    let figures: Map<String, Json> = figures
        .iter()
        .map(|figure| {
            (
                figure.name.to_owned(),
                json!({ "value": figure.value, "budget": figure.budget }),
            )
        })
        .collect();
    json!({ "programs": programs, "operations": costs, "figures": figures })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(factor: f64) -> Sample {
        Sample {
            init: 2.0 * factor,
            cold: 20.0 * factor,
            warm: vec![factor, 2.0 * factor],
            cpu: factor,
            resident: 20.0,
        }
    }

    fn measured() -> Measured {
        let programs = [
            BARE,
            PING,
            BARE_HASH,
            SIGN_IN,
            WRONG_PASSWORD,
            UNKNOWN_ADDRESS,
            PASSKEY,
        ];
        let costs = [
            SIGN_IN,
            PASSKEY,
            "user-me",
            "password-generate-code",
            "password-confirm-code",
        ];
        Measured {
            programs: programs
                .into_iter()
                .map(|name| (name, vec![sample(1.0), sample(3.0), sample(2.0)]))
                .collect(),
            resident_after_many: 20.0,
            zips: [
                ("ping", 500_000),
                ("session-create", 1_000_000),
                ("passkey-sign-in", 1_000_000),
            ]
            .into(),
            overhead: 0.5,
            costs: costs
                .map(|operation| Cost {
                    operation,
                    round_trips: 1,
                    read: 1.0,
                    written: 4.0,
                })
                .into(),
        }
    }

    #[test]
    fn every_figure_has_a_budget_and_every_budget_a_figure() {
        let budget: BTreeMap<String, f64> = serde_json::from_str(BUDGET).expect("a budget");
        let figures = figures(&measured()).expect("figures");
        assert_eq!(figures.len(), budget.len());
    }

    #[test]
    fn a_figure_over_its_budget_does_not_hold() {
        let figure = |value| Figure {
            name: "",
            value,
            budget: 1.0,
        };
        assert!(
            figure(1.0).holds()
                && !figure(1.01).holds()
                && !figure(f64::INFINITY).holds()
                && !figure(f64::NAN).holds()
        );
    }

    #[test]
    fn ratios_are_computed_per_round_and_costs_add_up() {
        let mut measured = measured();
        measured.programs[3]
            .1
            .iter_mut()
            .for_each(|sample| sample.init *= 2.0);
        let value = |name: &str| {
            figures(&measured)
                .expect("figures")
                .into_iter()
                .find(|figure| figure.name == name)
                .expect(name)
                .value
        };
        assert!((value("init of session-create / bare") - 2.0).abs() < 1e-9);
        // 7 ms: the median CPU time of 2 ms, and one round trip of 5 ms.
        assert!(
            (value("a million sign-ins, USD")
                - (1.2 + 7.0 * MEMORY * GIGABYTE_MILLISECOND + 0.125 + 2.5))
                .abs()
                < 1e-9
        );
        assert!(value("unknown address against wrong password, %").abs() < 1e-9);
    }
}
