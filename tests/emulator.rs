//! The sample events in AWS's Lambda emulator, which `sam local invoke` runs in its containers

use std::{collections::BTreeMap, fs, net::TcpListener, path::PathBuf, process::Stdio};

use serde_json::Value;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::{
    events::{events_of, is_answered, read},
    harness::{Function, Latchkey, Template, binaries, eventually, spawn, workspace},
};

/// The path of the emulator, which is part of `sam`. It must be installed where `CI` is set;
/// elsewhere the test is skipped without it.
fn program() -> Option<PathBuf> {
    let path = shared::platform::environment::variable("PATH").unwrap_or_default();
    let found = path.split(':').find_map(|folder| {
        let environment = fs::canonicalize(PathBuf::from(folder).join("sam"))
            .ok()?
            .parent()?
            .parent()?
            .to_owned();
        let versions = fs::read_dir(environment.join("lib"))
            .ok()?
            .filter_map(Result::ok);
        let emulator = |version: fs::DirEntry| {
            version
                .path()
                .join("site-packages/samcli/local/rapid/aws-lambda-rie-x86_64")
        };
        versions.map(emulator).find(|file| file.is_file())
    });
    if found.is_none() {
        assert!(
            shared::platform::environment::variable("CI").is_none(),
            "sam is not installed: pip install aws-sam-cli"
        );
        eprintln!(
            "SKIPPED: sam is not installed (pip install aws-sam-cli), so the sample events were not tested in AWS's emulator"
        );
    }
    found
}

/// The variables that events/env.json sets in every function.
fn env_json() -> BTreeMap<String, String> {
    let file: Value = read(&workspace().join("events/env.json"));
    serde_json::from_value(file["Parameters"].clone()).unwrap()
}

/// The environment of a function under `sam local invoke`: the template's variables with the
/// defaults of their parameters, overridden by events/env.json. The addresses are those of this
/// stack.
fn variables(
    template: &Template,
    function: &Function,
    latchkey: &Latchkey,
) -> BTreeMap<String, String> {
    let (dynamodb, aws) = latchkey.services();
    let local = |value: &String| {
        value
            .replace("http://127.0.0.1:3001", dynamodb)
            .replace("http://127.0.0.1:3002", aws)
    };
    let set = env_json();
    let default = |refers_to: &String| {
        template
            .parameters
            .get(refers_to)
            .cloned()
            .flatten()
            .unwrap_or_default()
    };
    let value = |(name, refers_to): (&String, &String)| {
        (
            name.clone(),
            set.get(name).map_or_else(|| default(refers_to), local),
        )
    };
    template
        .variables
        .iter()
        .chain(&function.variables)
        .map(value)
        .collect()
}

struct Emulator {
    _process: Child,
    url: String,
}

impl Emulator {
    async fn start(
        program: &PathBuf,
        function: &Function,
        variables: &BTreeMap<String, String>,
    ) -> Self {
        let free = || {
            TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
        };
        let address = free();
        let runtime_api = free();
        let process = Command::new(program)
            .args(["--runtime-interface-emulator-address", &address.to_string()])
            .args(["--runtime-api-address", &runtime_api.to_string()])
            .arg(binaries().await.join(&function.binary))
            .env_clear()
            .envs(variables)
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", function.logical_id.as_str()),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
                ("AWS_LAMBDA_FUNCTION_TIMEOUT", "30"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "emulator"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "emulator"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "local"),
                ("AWS_SECRET_ACCESS_KEY", "local"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("the emulator listens", || async {
            TcpStream::connect(address).await.ok()
        })
        .await;
        Self {
            _process: process,
            url: format!("http://{address}/2015-03-31/functions/function/invocations"),
        }
    }

    async fn invoke(&self, event: &Value) -> Value {
        let request = reqwest::Client::new().post(&self.url).json(event);
        let text = spawn(async { request.send().await?.text().await })
            .await
            .unwrap()
            .unwrap();
        if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
        }
    }
}

#[tokio::test]
async fn every_sample_event_is_answered_in_the_emulator() {
    let Some(program) = program() else { return };
    let template = Template::read();
    let latchkey = Latchkey::start(&[]).await;
    let mut events = 0;
    for function in &template.functions {
        let variables = variables(&template, function, &latchkey);
        let emulator = Emulator::start(&program, function, &variables).await;
        for path in events_of(function, &template) {
            let event = read(&path);
            let answer = emulator.invoke(&event).await;
            is_answered(function, &path, &event, &answer);
            // The sample sign-up writes to the stack, where its address is free.
            if path.ends_with("user-create.json") {
                assert_eq!(answer["statusCode"], 201, "{answer}");
            }
            events += 1;
        }
    }
    let files = fs::read_dir(workspace().join("events")).unwrap().count();
    assert_eq!(events, files - 1, "every file but env.json");
}

#[test]
fn env_json_sets_only_known_variables_and_every_variable_without_a_default() {
    let template = Template::read();
    let set = env_json();
    let variables = template.all_variables();
    // `sam` ignores variables that the template does not define.
    for variable in set.keys() {
        assert!(variables.contains_key(variable), "{variable}");
    }
    for (variable, refers_to) in &variables {
        let has_value = template
            .parameters
            .get(refers_to)
            .is_some_and(Option::is_some);
        assert!(has_value || set.contains_key(variable), "{variable}");
    }
}
