//! Search, export, import, rekey and reseal in pages. Users are written to standard output and read from standard
//! input; messages are printed on standard error.

use super::client::Client;
use crate::Error;
use serde_json::{Map, Value as Json, json};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::Path,
};

/// Lines per import request.
const LINES: u64 = 250;
/// Size of an import request after which no further line is added, in bytes.
const BYTES: usize = 1024 * 1024;

pub async fn export(
    client: &Client,
    mut after: Option<String>,
    page: usize,
    plain_otp_secrets: bool,
) -> Result<(), Error> {
    let mut count = 0;
    let mut unopened = 0;
    let flag = if plain_otp_secrets {
        " --plain-otp-secrets"
    } else {
        ""
    };
    loop {
        let resume = |error: Error| match &after {
            Some(key) => Error::new(error.to_string()).advice(format!(
                "{count} users were written. To continue: users export{flag} --after '{key}'"
            )),
            None => error,
        };
        let fields = Map::from_iter([
            ("after".to_owned(), json!(after)),
            ("limit".to_owned(), json!(page)),
            ("plain_otp_secrets".to_owned(), json!(plain_otp_secrets)),
        ]);
        let answer = client.manage("export", fields).await.map_err(resume)?;
        let mut output = std::io::stdout().lock();
        let written = output
            .write_all(answer["lines"].as_str().unwrap_or_default().as_bytes())
            .and_then(|()| output.flush());
        written.map_err(|error| {
            let error = Error::from(error);
            if error.is_closed_pipe() {
                error
            } else {
                resume(error)
            }
        })?;
        count += answer["count"].as_u64().unwrap_or_default();
        for value in answer["unopened"].as_array().into_iter().flatten() {
            eprintln!("{value}");
            unopened += 1;
        }
        after = answer["next"].as_str().map(str::to_owned);
        eprintln!(
            "{count} users exported{}",
            if after.is_none() { "." } else { " ..." }
        );
        if after.is_none() {
            break;
        }
    }
    if unopened == 0 {
        return Ok(());
    }
    Err(Error::new(format!(
        "{unopened} OTP secrets could not be decrypted and are encrypted in the export."
    ))
    .advice("Restore the data key that the reason names, and export again."))
}

/// Results of an import, in lines.
#[derive(Default)]
struct Tally {
    imported: u64,
    exists: u64,
    refused: u64,
}

pub async fn import(client: &Client, file: Option<&Path>) -> Result<(), Error> {
    let mut input: Box<dyn BufRead> = match file {
        Some(path) => {
            let unreadable =
                |error| Error::new(format!("{} cannot be read: {error}", path.display()));
            Box::new(BufReader::new(File::open(path).map_err(unreadable)?))
        }
        None => Box::new(std::io::stdin().lock()),
    };
    skip_byte_order_mark(&mut input)?;
    let mut lines = BufRead::split(input, b'\n');
    let mut tally = Tally::default();
    let mut sent = 0;
    loop {
        let Batch {
            text: batch,
            lines: count,
            not_utf8,
        } = next_batch(&mut lines)?;
        if count == 0 {
            break;
        }
        for line in &not_utf8 {
            eprintln!("line {}: not UTF-8", sent + line);
        }
        tally.refused += not_utf8.len() as u64;
        let fields = Map::from_iter([("lines".to_owned(), json!(batch))]);
        if !batch.trim().is_empty() {
            let answer = client.manage("import", fields).await.map_err(|error| {
                Error::new(error.to_string()).advice(format!(
                    "The import failed after line {sent}. Import the whole file again; existing users are not changed."
                ))
            })?;
            tally.add(&answer, sent);
        }
        sent += count;
        eprintln!(
            "{sent} lines read: {} imported, {} already present, {} rejected",
            tally.imported, tally.exists, tally.refused
        );
    }
    if tally.refused == 0 {
        return Ok(());
    }
    Err(
        Error::new(format!("{} lines were rejected.", tally.refused))
            .advice("Correct these lines and import them again."),
    )
}

/// Maximum number of users that the function returns at once.
const SEARCH_PAGE: usize = 1000;

pub async fn search(client: &Client, text: &str, limit: usize) -> Result<(), Error> {
    let mut found = 0;
    let mut after = None;
    while found < limit {
        let fields = Map::from_iter([
            ("text".to_owned(), json!(text)),
            ("limit".to_owned(), json!((limit - found).min(SEARCH_PAGE))),
            ("after".to_owned(), json!(after)),
        ]);
        let answer = client.manage("search", fields).await?;
        for user in answer["users"].as_array().into_iter().flatten() {
            crate::print_line(user)?;
            found += 1;
        }
        after = answer["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    let more = if after.is_some() {
        " There may be more: repeat the command with a greater --limit."
    } else {
        ""
    };
    eprintln!("{found} users found.{more}");
    Ok(())
}

pub async fn rekey(client: &Client, apply: bool) -> Result<(), Error> {
    let mut movable = 0;
    let mut kept = 0;
    let mut after = None;
    loop {
        let fields = Map::from_iter([
            ("apply".to_owned(), json!(apply)),
            ("after".to_owned(), json!(after)),
        ]);
        let answer = client.manage("rekey", fields).await.map_err(|error| {
            Error::new(error.to_string())
                .advice("Run the command again. Users who were moved stay moved.")
        })?;
        movable += answer["movable"].as_u64().unwrap_or_default();
        for user in answer["kept"].as_array().into_iter().flatten() {
            crate::print_line(user)?;
            kept += 1;
        }
        after = answer["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    let verb = if apply { "moved" } else { "can be moved" };
    eprintln!("{movable} users {verb}; {kept} keep their key.");
    if movable > 0 && !apply {
        eprintln!("Nothing was changed. To move them: users rekey --apply");
    }
    Ok(())
}

pub async fn reseal(client: &Client, apply: bool) -> Result<(), Error> {
    let mut resealed = 0;
    let mut failed = 0;
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    let mut current = String::new();
    let mut after = None;
    loop {
        let fields = Map::from_iter([
            ("apply".to_owned(), json!(apply)),
            ("after".to_owned(), json!(after)),
        ]);
        let answer = client.manage("reseal", fields).await.map_err(|error| {
            Error::new(error.to_string())
                .advice("Run the command again. Values that were encrypted stay encrypted.")
        })?;
        resealed += answer["resealed"].as_u64().unwrap_or_default();
        for (version, count) in answer["versions"].as_object().into_iter().flatten() {
            *versions.entry(version.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
        for value in answer["failed"].as_array().into_iter().flatten() {
            crate::print_line(value)?;
            failed += 1;
        }
        answer["current"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut current);
        after = answer["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    let verb = if apply {
        "encrypted"
    } else {
        "can be encrypted"
    };
    eprintln!("{resealed} OTP secrets {verb} under the current key version {current}.");
    for (version, count) in &versions {
        eprintln!("{version}: {count} OTP secrets");
    }
    if resealed > 0 && !apply {
        eprintln!("Nothing was changed. To encrypt them: users reseal --apply");
    }
    if failed == 0 {
        return Ok(());
    }
    Err(
        Error::new(format!("{failed} OTP secrets could not be encrypted."))
            .advice("They are unchanged. The lines on standard output have the reasons."),
    )
}

/// Skips the byte order mark of UTF-8.
///
/// # Errors
/// The input is UTF-16.
fn skip_byte_order_mark(input: &mut dyn BufRead) -> Result<(), Error> {
    let start = input.fill_buf()?;
    let is_utf16 = start.starts_with(b"\xff\xfe")
        || start.starts_with(b"\xfe\xff")
        || start.iter().take(2).any(|&byte| byte == 0);
    if is_utf16 {
        return Err(Error::new("The input is UTF-16 instead of UTF-8.")
            .advice("Convert it, for example with iconv -f UTF-16 -t UTF-8."));
    }
    if start.starts_with(b"\xef\xbb\xbf") {
        input.consume(3);
    }
    Ok(())
}

/// Some lines of an import.
#[derive(Debug, Default, PartialEq, Eq)]
struct Batch {
    /// The lines. Those that are not UTF-8 are empty.
    text: String,
    /// The number of lines.
    lines: u64,
    /// The numbers of the lines that are not UTF-8, from 1.
    not_utf8: Vec<u64>,
}

/// The next lines of an import.
fn next_batch(lines: &mut dyn Iterator<Item = std::io::Result<Vec<u8>>>) -> Result<Batch, Error> {
    let mut batch = Batch::default();
    for line in lines {
        batch.lines += 1;
        match String::from_utf8(line?) {
            Ok(line) => batch.text += &line,
            Err(_) => batch.not_utf8.push(batch.lines),
        }
        batch.text.push('\n');
        if batch.lines >= LINES || batch.text.len() >= BYTES {
            break;
        }
    }
    Ok(batch)
}

impl Tally {
    /// Adds the results of a batch and prints those of rejected lines. `before` is the number of
    /// lines before the batch.
    fn add(&mut self, answer: &Json, before: u64) {
        let number = |name: &str| answer[name].as_u64().unwrap_or_default();
        self.imported += number("imported");
        self.exists += number("exists");
        self.refused += number("taken") + number("invalid");
        for result in answer["results"].as_array().into_iter().flatten() {
            let line = before + result["line"].as_u64().unwrap_or_default();
            let text = |name: &str| result[name].as_str().unwrap_or_default();
            match text("outcome") {
                "taken" => eprintln!("line {line}: {}: belongs to another user", text("field")),
                "invalid" => eprintln!(
                    "line {line}: {}",
                    [text("field"), text("message")]
                        .join(": ")
                        .trim_start_matches(": ")
                ),
                _ if result.get("note").is_some() => eprintln!("line {line}: {}", text("note")),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(mut input: &[u8]) -> Result<Vec<Batch>, Error> {
        skip_byte_order_mark(&mut input)?;
        let mut lines = BufRead::split(input, b'\n');
        let mut batches = Vec::new();
        loop {
            let batch = next_batch(&mut lines)?;
            if batch.lines == 0 {
                return Ok(batches);
            }
            batches.push(batch);
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_a_line_that_is_not_utf8_is_numbered() {
        let found = batches(b"\xef\xbb\xbf{}\r\n\xe9\n\xff\n{\"a\":1}").expect("batches");
        let batch = Batch {
            text: "{}\r\n\n\n{\"a\":1}\n".to_owned(),
            lines: 4,
            not_utf8: vec![2, 3],
        };
        assert_eq!(found, [batch]);
        assert_eq!(batches(b"").expect("batches"), []);
    }

    #[test]
    fn a_batch_has_at_most_its_number_of_lines() {
        let found = batches("{}\n".repeat(251).as_bytes()).expect("batches");
        let lines: Vec<u64> = found.iter().map(|batch| batch.lines).collect();
        assert_eq!(lines, [250, 1]);
    }

    #[test]
    fn utf16_is_named() {
        for input in [
            &b"\xff\xfe{\0}\0"[..],
            b"\xfe\xff\0{\0}",
            b"{\0}\0",
            b"\0{\0}",
        ] {
            let error = batches(input).expect_err("an error");
            assert!(error.to_string().contains("UTF-16"), "{error}");
        }
    }
}
