//! Compares our verifier of passkeys with the crate `webauthn_rp` on mutated ceremonies (see
//! README.md).

mod case;
mod differences;
mod encoding;
mod mutation;
mod ours;
mod random;
mod theirs;

use std::{collections::BTreeMap, thread};

use authenticator::{Key, Passkey};
use clap::Parser;

use case::{Case, Kind, USER_HANDLE, Verifier};
use random::Random;
use theirs::Theirs;

/// Verifies mutated ceremonies by two implementations, and fails if a verdict differs in a way that
/// is not listed in `differences.rs`.
#[derive(Parser)]
struct Arguments {
    /// How many ceremonies.
    #[arg(default_value_t = 20_000)]
    ceremonies: u64,
    /// Every seed stands for other ceremonies.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Verifies only the ceremony with this number, and shows it.
    #[arg(long)]
    only: Option<u64>,
}

/// How often each pair of verdicts occurred.
type Counts = BTreeMap<String, u64>;

fn main() {
    let arguments = Arguments::parse();
    if let Some(number) = arguments.only {
        let mut counts = Counts::new();
        let shown = compare(arguments.seed, number, &mut counts, true);
        println!("{counts:#?}");
        shown.unwrap_or_else(|difference| panic!("{difference}"));
        return;
    }
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let counts = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                let arguments = &arguments;
                scope.spawn(move || run(arguments, first, threads))
            })
            .collect();
        let mut total = Counts::new();
        for worker in workers {
            for (name, count) in worker.join().unwrap_or_else(|_| std::process::exit(1)) {
                *total.entry(name).or_default() += count;
            }
        }
        total
    });
    println!(
        "{} ceremonies, seed {}:",
        arguments.ceremonies, arguments.seed
    );
    for (name, count) in &counts {
        println!("{count:>9}  {name}");
    }
    assert_is_complete(arguments.ceremonies, &counts);
}

/// Fails if the comparison proves less than it seems to: if no ceremony of some kind was accepted,
/// or if a listed difference does not occur.
fn assert_is_complete(ceremonies: u64, counts: &Counts) {
    let accepted = counts.keys().filter(|name| name.starts_with("both accept"));
    assert!(
        ceremonies < 1000 || accepted.count() == 6,
        "too few are accepted"
    );
    for name in differences::names() {
        assert!(
            ceremonies < 100_000 || counts.keys().any(|counted| counted.ends_with(name)),
            "this difference no longer occurs: {name}"
        );
    }
}

/// Every `step`th ceremony from `first` on.
fn run(arguments: &Arguments, first: u64, step: u64) -> Counts {
    let mut counts = Counts::new();
    let mut number = first;
    while number < arguments.ceremonies {
        if let Err(difference) = compare(arguments.seed, number, &mut counts, false) {
            eprintln!("{difference}");
            panic!("repeat it with --seed {} --only {number}", arguments.seed);
        }
        number += step;
    }
    counts
}

thread_local! {
    static THEIRS: Theirs = Theirs::new();
    static PASSKEYS: [Passkey; 3] = Key::all().map(|key| Passkey::new(key, &USER_HANDLE));
}

fn compare(seed: u64, number: u64, counts: &mut Counts, show: bool) -> Result<(), String> {
    let mut random = Random::of_case(seed, number);
    PASSKEYS.with(|passkeys| {
        let passkey = &passkeys[random.below(3)];
        let kind = random.choose(&[Kind::Registration, Kind::Authentication]);
        let mut case = Case::valid(kind, passkey);
        mutation::mutate(&mut case, &mut random);
        let ours = case.response(Verifier::Ours);
        let theirs = case.response(Verifier::Theirs);
        let our_verdict = ours::verify(&case, &ours);
        let their_verdict = THEIRS.with(|verifier| verifier.verify(&case, &theirs));
        let algorithm = case.algorithm();
        let description = || {
            format!(
                "{kind:?} with {algorithm}, mutations {:?}\nours: {our_verdict:?}\n{ours}\n\
             theirs: {their_verdict:?}\n{theirs}",
                case.mutations
            )
        };
        if show {
            println!("{}", description());
        }
        let verdict = match (our_verdict.is_ok(), their_verdict.is_ok()) {
            (true, true) => format!("both accept: {kind:?}, {algorithm}"),
            (false, false) => format!("both refuse: {kind:?}, {algorithm}"),
            (is_accepted, _) => match differences::known(&case, is_accepted) {
                Some(name) if is_accepted => format!("only we accept: {name}"),
                Some(name) => format!("only we refuse: {name}"),
                None => return Err(description()),
            },
        };
        *counts.entry(verdict).or_default() += 1;
        Ok(())
    })
}
