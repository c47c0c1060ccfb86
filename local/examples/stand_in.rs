//! A function for the tests of the stack. Its event selects its behaviour. It uses the Lambda
//! Runtime API with the standard library only.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program for tests, which may panic and reads the variables that Lambda sets"
)]

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process,
    thread::sleep,
    time::Duration,
};

fn main() {
    if let Ok(reason) = env::var("IDENTITY_FAIL_AT_START") {
        println!("invalid configuration: {reason}");
        process::exit(3);
    }
    let api = env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let (host, prefix) = api.trim_start_matches("http://").split_once('/').unwrap();
    let path = |rest: &str| format!("/{prefix}/2018-06-01/runtime/{rest}");
    let mut calls = 0;
    loop {
        let (request, event) = exchange(host, "GET", &path("invocation/next"), "");
        calls += 1;
        let event: Value = serde_json::from_str(&event).unwrap();
        let (kind, answer) = answer(&event, calls);
        exchange(
            host,
            "POST",
            &path(&format!("invocation/{request}/{kind}")),
            &answer,
        );
    }
}

fn answer(event: &Value, calls: u32) -> (&'static str, String) {
    println!(r#"{{"level":"INFO","fields":{{"message":"called"}}}}"#);
    let behaviour = event["queryStringParameters"]["do"]
        .as_str()
        .or(event["do"].as_str())
        .unwrap_or_default();
    match behaviour {
        "crash" => {
            eprintln!("crashing on request");
            process::exit(7);
        }
        "hang" => sleep(Duration::from_mins(1)),
        "pause" => sleep(Duration::from_millis(400)),
        "report" => {
            return (
                "error",
                json!({ "errorType": "Requested", "errorMessage": "an error on request" })
                    .to_string(),
            );
        }
        "nonsense" => return ("response", json!({ "statusCode": "none" }).to_string()),
        _ => {}
    }
    let report = json!({ "process": process::id(), "calls": calls, "event": event, "variables": env::vars().collect::<BTreeMap<_, _>>() });
    let answer = json!({ "statusCode": 200, "headers": { "content-type": "application/json" }, "body": report.to_string() });
    ("response", answer.to_string())
}

/// Sends one request. Returns the id of the invocation, if the response has one, and the body.
fn exchange(host: &str, method: &str, path: &str, body: &str) -> (String, String) {
    let mut connection = TcpStream::connect(host).unwrap();
    write!(
        connection,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = BufReader::new(connection);
    let mut request = String::new();
    loop {
        let mut line = String::new();
        answer.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some(("lambda-runtime-aws-request-id", id)) => id.clone_into(&mut request),
            _ if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = String::new();
    answer.read_to_string(&mut body).unwrap();
    (request, body)
}
