//! `latchkey users`: manages the users of a running development stack.

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

/// U+FEFF, which some editors and shells write at the start of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Manages the users of the stack that runs on this machine.
///
/// On AWS, invoke the function (aws lambda invoke) whose name is the stack's output
/// ManageUsersFunctionName; it has the same actions.
#[derive(Args)]
#[expect(
    clippy::doc_markdown,
    reason = "clap prints this text as help, in which angle brackets are noise"
)]
pub struct Users {
    /// Data folder of the running stack
    #[arg(long, global = true, value_name = "DIR", default_value = ".latchkey")]
    data_dir: PathBuf,

    /// Endpoint of the stack's AWS APIs, such as http://127.0.0.1:3002; read from the data folder by
    /// default
    #[arg(long, global = true, value_name = "URL")]
    endpoint: Option<String>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a user; prompts for the password, or reads it from standard input
    Create(Create),
    /// Show a user
    Show(Who),
    /// Find users by the beginning of their e-mail address, or by their uid
    ///
    /// Prints each user as a JSON line. Reads the keys of all users.
    Search {
        /// Beginning of an e-mail address, or a uid
        text: String,
        /// Maximum number of users
        #[arg(long, value_name = "USERS", default_value_t = 100)]
        limit: usize,
    },
    /// Set the state; banned and deleted end all sessions of the user
    SetState {
        #[command(flatten)]
        who: Who,
        #[arg(value_parser = ["pending", "active", "banned", "deleted"])]
        state: String,
    },
    /// Set the role, the level, or both
    SetRole {
        #[command(flatten)]
        who: Who,
        #[arg(long)]
        role: Option<String>,
        #[arg(long)]
        level: Option<u32>,
    },
    /// Set a label, in place of one with the same key
    SetLabel {
        #[command(flatten)]
        who: Who,
        key: String,
        value: String,
        /// private or public: users can change public labels; by default that of the existing label,
        /// or private
        #[arg(long, value_parser = ["private", "public"])]
        scope: Option<String>,
    },
    /// Remove a label
    RemoveLabel {
        #[command(flatten)]
        who: Who,
        key: String,
    },
    /// Mark the e-mail address as confirmed, and clear the mark that mails to it bounce
    VerifyEmail(Who),
    /// End all sessions of a user
    EndSessions(Who),
    /// Disable the second factor
    DisableOtp(Who),
    /// Erase a user and all of their data
    Delete {
        #[command(flatten)]
        who: Who,
        /// Confirm the erasure, which cannot be undone
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Write all users to standard output as JSON lines, including password hashes; OTP secrets are
    /// encrypted under the data keys of this stack
    Export {
        /// Continue an interrupted export after this key, which the interrupted export printed
        #[arg(long, value_name = "KEY")]
        after: Option<String>,
        /// Number of users per request
        #[arg(long, value_name = "USERS", default_value_t = 1000)]
        page: usize,
        /// Write the OTP secrets in plain text, so that another stack can import them
        #[arg(long)]
        plain_otp_secrets: bool,
    },
    /// Import users from JSON lines, in the format of an export or of Barong; existing users are
    /// not changed
    Import {
        /// File to read; standard input by default
        file: Option<PathBuf>,
    },
    /// Move users of earlier versions to their account key; without --apply, only report what
    /// would be done
    ///
    /// Prints each user who keeps their key as a JSON line: the address violates the rules
    /// ("invalid"), or another user has the account key ("taken"). The command can be interrupted
    /// and repeated.
    Rekey {
        /// Move the users
        #[arg(long)]
        apply: bool,
    },
    /// Encrypt plain OTP secrets, and those under other data keys, under the current data key;
    /// without --apply, only report what would be done
    ///
    /// Prints each value that cannot be encrypted as a JSON line, with the reason. The command can
    /// be interrupted and repeated.
    Reseal {
        /// Encrypt the OTP secrets
        #[arg(long)]
        apply: bool,
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
    /// Read a password hash (bcrypt or argon2id) instead of the password
    #[arg(long)]
    hash: bool,
    #[arg(long, default_value = "active", value_parser = ["pending", "active", "banned", "deleted"])]
    state: String,
    #[arg(long, default_value = "member")]
    role: String,
    /// 1 by default if the state is active, otherwise 0
    #[arg(long)]
    level: Option<u32>,
    /// Additional data of the user, as a JSON text
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Two to six letters and ten hexadecimal digits; generated by default
    #[arg(long)]
    uid: Option<String>,
}

impl Users {
    pub async fn run(self) -> Result<(), Error> {
        let client = Client::new(self.endpoint, &self.data_dir)?;
        let (action, fields) = match self.command {
            Command::Export {
                after,
                page,
                plain_otp_secrets,
            } => return transfer::export(&client, after, page, plain_otp_secrets).await,
            Command::Import { file } => return transfer::import(&client, file.as_deref()).await,
            Command::Search { text, limit } => {
                return transfer::search(&client, &text, limit).await;
            }
            Command::Rekey { apply } => return transfer::rekey(&client, apply).await,
            Command::Reseal { apply } => return transfer::reseal(&client, apply).await,
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
            Command::SetLabel {
                who,
                key,
                value,
                scope,
            } => (
                "set-label",
                with(
                    who.fields(),
                    [
                        ("key", json!(key)),
                        ("value", json!(value)),
                        ("scope", json!(scope)),
                    ],
                ),
            ),
            Command::RemoveLabel { who, key } => {
                ("remove-label", with(who.fields(), [("key", json!(key))]))
            }
            Command::VerifyEmail(who) => ("verify-email", who.fields()),
            Command::EndSessions(who) => ("end-sessions", who.fields()),
            Command::DisableOtp(who) => ("disable-otp", who.fields()),
            Command::Delete { who, .. } => ("delete", who.fields()),
        };
        let answer = client.manage(action, fields).await?;
        let user = answer
            .get("user")
            .or(answer.get("deleted"))
            .unwrap_or(&answer);
        crate::print_line(format_args!("{user:#}"))?;
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

/// Prompts twice without echo on a terminal, otherwise reads the first line of standard input. A
/// secret is never an argument, because other users of the machine can see those.
fn read_secret(what: &str) -> Result<String, Error> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        let secret = line
            .trim_start_matches(BYTE_ORDER_MARK)
            .trim_end_matches(['\r', '\n']);
        let nothing = || {
            Error::new("The first line of standard input is empty.")
                .advice("Write the password or the hash to it, on one line.")
        };
        return (!secret.is_empty())
            .then(|| secret.to_owned())
            .ok_or_else(nothing);
    }
    let ask = |prompt: String| rpassword::prompt_password(prompt);
    let secret = ask(format!("{what}: "))?;
    if ask(format!("{what} (again): "))? != secret {
        return Err(Error::new("The two entries differ.").advice("Try again."));
    }
    Ok(secret)
}
