//! `latchkey users`: what operators do to users, in the stack that runs on this machine.

mod client;
mod transfer;

use crate::Error;
use clap::{Args, Subcommand};
use client::Client;
use serde_json::{Map, Value as Json, json};
use std::{
    io::{BufRead, IsTerminal},
    path::PathBuf,
};

/// Creates, changes, moves and erases users of the stack that runs on this machine.
///
/// In AWS the same is done by invoking the function (aws lambda invoke) with the name that the
/// stack puts out as ManageUsersFunctionName.
#[derive(Args)]
#[expect(
    clippy::doc_markdown,
    reason = "the help is read on a terminal, where brackets are noise"
)]
pub struct Users {
    /// Data folder of the running stack
    #[arg(long, global = true, value_name = "DIR", default_value = ".latchkey")]
    data_dir: PathBuf,

    /// Where the stack serves AWS's APIs, such as http://127.0.0.1:41234; found in the data folder
    /// unless given
    #[arg(long, global = true, value_name = "URL")]
    endpoint: Option<String>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a user; the password is asked for, or read from standard input
    Create(Create),
    /// Show a user
    Show(Who),
    /// Set the state; who is banned or deleted by it loses every session
    SetState {
        #[command(flatten)]
        who: Who,
        #[arg(value_parser = ["pending", "active", "banned", "deleted"])]
        state: String,
    },
    /// Set role and level, or one of them
    SetRole {
        #[command(flatten)]
        who: Who,
        #[arg(long)]
        role: Option<String>,
        #[arg(long)]
        level: Option<u32>,
    },
    /// Say that mails reach the address, which lifts a mark that it bounces
    VerifyEmail(Who),
    /// End every session
    EndSessions(Who),
    /// Turn the second factor off
    DisableOtp(Who),
    /// Erase a user and all that is kept of them
    Delete {
        #[command(flatten)]
        who: Who,
        /// It cannot be undone
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Write every user to standard output, a JSON line each, with hashes and secrets
    Export {
        /// Go on where an export was broken off, with what it told
        #[arg(long, value_name = "KEY")]
        after: Option<String>,
        /// Users asked for at once
        #[arg(long, value_name = "USERS", default_value_t = 1000)]
        page: usize,
    },
    /// Store the users of JSON lines, as an export or Barong gives them; nobody who is there is
    /// changed
    Import {
        /// Read from standard input unless given
        file: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Who {
    /// E-mail address or uid
    #[arg(value_name = "EMAIL|UID")]
    who: String,
}

#[derive(Args)]
struct Create {
    email: String,
    /// What is read is a hash of the password, of bcrypt or argon2id
    #[arg(long)]
    hash: bool,
    #[arg(long, default_value = "active", value_parser = ["pending", "active", "banned", "deleted"])]
    state: String,
    #[arg(long, default_value = "member")]
    role: String,
    #[arg(long, default_value_t = 0)]
    level: u32,
    /// A JSON text that goes with the user
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Two to six letters and ten hexadecimal digits; drawn unless given
    #[arg(long)]
    uid: Option<String>,
}

impl Users {
    /// Does what is asked for.
    pub async fn run(self) -> Result<(), Error> {
        let client = Client::new(self.endpoint, &self.data_dir)?;
        let (action, fields) = match self.command {
            Command::Export { after, page } => return transfer::export(&client, after, page).await,
            Command::Import { file } => return transfer::import(&client, file.as_deref()).await,
            Command::Create(create) => ("create", create.fields()?),
            Command::Show(who) => ("show", who.fields()),
            Command::SetState { who, state } => {
                ("set-state", with(who.fields(), [("state", json!(state))]))
            }
            Command::SetRole { who, role, level } => (
                "set-role",
                with(
                    who.fields(),
                    [("role", json!(role)), ("level", json!(level))],
                ),
            ),
            Command::VerifyEmail(who) => ("verify-email", who.fields()),
            Command::EndSessions(who) => ("end-sessions", who.fields()),
            Command::DisableOtp(who) => ("disable-otp", who.fields()),
            Command::Delete { who, .. } => ("delete", who.fields()),
        };
        let answer = client.manage(action, fields).await?;
        let told = answer
            .get("user")
            .or(answer.get("deleted"))
            .unwrap_or(&answer);
        println!("{told:#}");
        Ok(())
    }
}

fn with<const N: usize>(
    mut fields: Map<String, Json>,
    more: [(&str, Json); N],
) -> Map<String, Json> {
    fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    fields
}

impl Who {
    fn fields(self) -> Map<String, Json> {
        let name = if self.who.contains('@') {
            "email"
        } else {
            "uid"
        };
        with(Map::new(), [(name, json!(self.who))])
    }
}

impl Create {
    fn fields(self) -> Result<Map<String, Json>, Error> {
        let (name, what) = if self.hash {
            ("password_hash", "Hash")
        } else {
            ("password", "Password")
        };
        let secret = read_secret(what)?;
        let Self {
            email,
            state,
            role,
            level,
            data,
            uid,
            ..
        } = self;
        let fields = json!({ "email": email, "state": state, "role": role, "level": level, "data": data, "uid": uid });
        let Json::Object(fields) = fields else {
            return Ok(Map::new());
        };
        Ok(with(fields, [(name, json!(secret))]))
    }
}

/// From a person twice and unseen, from a program the first line. Never an argument: others can see
/// those.
fn read_secret(what: &str) -> Result<String, Error> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        let secret = line.trim_end_matches(['\r', '\n']);
        let nothing = || {
            Error::new("Nothing was read from standard input.")
                .advice("Give the password there, on one line.")
        };
        return (!secret.is_empty())
            .then(|| secret.to_owned())
            .ok_or_else(nothing);
    }
    let ask = |prompt: String| rpassword::prompt_password(prompt);
    let secret = ask(format!("{what}: "))?;
    if ask(format!("{what} again: "))? != secret {
        return Err(Error::new("The two differ.").advice("Try again."));
    }
    Ok(secret)
}
