//! `latchkey-bench`: measures the release binaries of the functions, or loads a development stack.

mod bench;
mod event;
mod figures;
mod load;
mod operations;
mod passkey;
mod plot;
mod series;
mod statistics;
mod subject;

use bench::Bench;
use clap::{Parser, Subcommand};
use load::Load;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "latchkey-bench",
    version,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Command {
    Load(Load),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { command, bench } = Arguments::parse();
    let done = match command {
        Some(Command::Load(load)) => load.run().await,
        None => bench.run().await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}
