//! `latchkey`: builds the functions and runs the development stack until it is interrupted.

#![deny(clippy::print_stdout, reason = "println! panics if the pipe is closed")]

use clap::{Args, Parser, Subcommand, builder::NonEmptyStringValueParser};
use local::{Error, Grants, Options, Stack, Users};
use std::{
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};

/// Runs Latchkey on this machine: the API, DynamoDB and a mailbox, as described by template.yaml.
///
/// Builds the functions first, which are the same programs that Lambda runs. Environment variables
/// whose names begin with IDENTITY_, such as IDENTITY_APP_NAME, are passed to the functions and
/// override the template. They must satisfy the constraints of the template's parameters. If
/// IDENTITY_CAPTCHA_SECRET_ARN is set, LATCHKEY_CAPTCHA_SECRET must hold the captcha's private key.
/// LATCHKEY_ACCESS_TOKEN_KEY may hold the private key that signs access tokens, in PEM.
#[derive(Parser)]
#[expect(
    clippy::doc_markdown,
    reason = "clap prints this text as help, in which backticks are noise"
)]
#[command(name = "latchkey", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: Run,
}

/// The default data folder.
const DATA_DIR: &str = ".latchkey";

#[derive(Subcommand)]
enum Command {
    Users(Users),
    Grants(Grants),
}

#[derive(Args)]
#[expect(
    clippy::doc_markdown,
    reason = "clap prints this text as help, in which angle brackets are noise"
)]
struct Run {
    /// Address of the API; port 0 selects a free port
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:3000", value_parser = address)]
    listen: SocketAddr,

    /// Folder for users, mails and secrets
    #[arg(long, value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,

    /// Keep all data in memory; it is lost when the stack stops
    #[arg(long, conflicts_with = "data_dir")]
    in_memory: bool,

    /// Build the functions in release mode, as deployed
    #[arg(long)]
    release: bool,

    /// Origin of a front end, such as http://localhost:5173; repeat the option for more origins
    #[arg(long = "cors-origin", value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    cors_origins: Vec<String>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .map_err(|error| error.to_string())?
        .next()
        .ok_or_else(|| "the host name has no address".to_owned())
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
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Run) -> Result<(), Error> {
    let mut stop = Stop::new()?;
    let mut env = local::variables("IDENTITY_").collect();
    let secrets = local::operator_secrets(&mut env)?;
    let mut options = Options {
        listen: arguments.listen,
        data_dir: (!arguments.in_memory).then_some(arguments.data_dir),
        cors_origins: arguments.cors_origins,
        env,
        secrets,
        ..Options::default()
    };
    Stack::check(&options).await?;
    let selector = users_selector(options.data_dir.as_deref());
    options.binaries = tokio::select! {
        built = local::build(arguments.release) => built?,
        () = stop.wait() => return Ok(()),
    };
    let stack = Stack::start(options).await?;
    // A closed pipe does not stop the stack.
    let _ = local::print_line(welcome(&stack, &selector));
    stop.wait().await;
    stack.stop().await;
    Ok(())
}

/// The options by which the command `users` finds the stack; `AWS` stands for its endpoint.
fn users_selector(data_dir: Option<&Path>) -> String {
    match data_dir {
        None => " --endpoint AWS".to_owned(),
        Some(folder) if folder == Path::new(DATA_DIR) => String::new(),
        Some(folder) => format!(" --data-dir {}", folder.display()),
    }
}

/// The first two lines are for programs, the rest is for people.
fn welcome(stack: &Stack, users_selector: &str) -> String {
    let url = stack.public_url();
    let users_selector = users_selector.replace("AWS", stack.aws_url());
    format!(
        "dynamodb {}\nready {}\n
  Latchkey is running.

  API       {url}
  Try it    {url}/_local/api
  Mailbox   {}
  AWS       {}  (Lambda, SES, Secrets Manager)

  Sign up, then read the confirmation mail in the mailbox:

    curl -i {url}/identity/users -d email=ann@example.com -d password=Tr0ub4dor-Zebra

  Manage users with `cargo run -- users{users_selector}` (see --help). Press Ctrl-C to stop.\n",
        stack.dynamodb_url(),
        stack.url(),
        stack.mailbox_url(),
        stack.aws_url(),
    )
}

/// Waits for SIGINT (Ctrl-C) or SIGTERM.
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
