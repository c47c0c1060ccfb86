//! `latchkey`: builds the functions, runs the stack until it is told to stop.

use clap::{Args, Parser, Subcommand};
use local::{Error, Grants, Options, Stack, Users};
use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};

/// Runs Latchkey on this machine: the API, DynamoDB and a mailbox, as template.yaml describes them.
///
/// The functions are built first and are then the same programs that Lambda runs. Variables that
/// begin with IDENTITY_ are passed on to them and win over the template, for example
/// IDENTITY_APP_NAME. The secret that IDENTITY_CAPTCHA_SECRET_ARN names, whatever it says, is the
/// value of LATCHKEY_CAPTCHA_SECRET.
#[derive(Parser)]
#[expect(
    clippy::doc_markdown,
    reason = "the help is read on a terminal, where backticks are noise"
)]
#[command(name = "latchkey", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Command {
    Users(Users),
    Grants(Grants),
}

#[derive(Args)]
#[expect(
    clippy::doc_markdown,
    reason = "the help is read on a terminal, where brackets are noise"
)]
struct Run {
    /// Address to serve the API on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3000", value_parser = address)]
    listen: SocketAddr,

    /// Folder in which users, mails and secrets are kept
    #[arg(long, value_name = "DIR", default_value = ".latchkey")]
    data_dir: PathBuf,

    /// Keep nothing: every start is a first start
    #[arg(long, conflicts_with = "data_dir")]
    in_memory: bool,

    /// Build the functions optimised, as they are deployed
    #[arg(long)]
    release: bool,

    /// Origin whose pages may call the API, such as http://localhost:5173; may be given several
    /// times
    #[arg(long = "cors-origin", value_name = "URL")]
    cors_origins: Vec<String>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .map_err(|error| error.to_string())?
        .next()
        .ok_or_else(|| "no such host".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments {
        command,
        run: arguments,
    } = Arguments::parse();
    let done = match command {
        Some(Command::Users(users)) => users.run().await,
        Some(Command::Grants(grants)) => grants.run(),
        None => run(arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Run) -> Result<(), Error> {
    let mut stop = Stop::new()?;
    let mut options = Options {
        listen: arguments.listen,
        data_dir: (!arguments.in_memory).then_some(arguments.data_dir),
        cors_origins: arguments.cors_origins,
        env: local::variables("IDENTITY_").collect(),
        secrets: local::captcha_secret()?,
        ..Options::default()
    };
    Stack::check(&options).await?;
    options.binaries = tokio::select! {
        built = local::build(arguments.release) => built?,
        () = stop.wait() => return Ok(()),
    };
    let stack = Stack::start(options).await?;
    print!("{}", welcome(&stack));
    stop.wait().await;
    stack.stop().await;
    Ok(())
}

/// Two lines for programs, the rest for people.
fn welcome(stack: &Stack) -> String {
    let url = stack.public_url();
    format!(
        "dynamodb {}\nready {}\n
  Latchkey is running.

  API       {url}
  Try it    {url}/_local/api
  Mailbox   {}
  AWS       {}  (Lambda, SES, Secrets Manager)

  Try it: sign up, then look into the mailbox.

    curl -i {url}/identity/users -d email=ann@example.com -d password=Tr0ub4dor-Zebra

  Users are created, changed and moved by `cargo run -- users`; --help tells how.
  Ctrl-C stops it.\n\n",
        stack.dynamodb_url(),
        stack.url(),
        stack.mailbox_url(),
        stack.aws_url(),
    )
}

/// Ctrl-C, or the signal by which others ask a program to end.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(Error::from);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
