//! Execution of steps of the GitHub workflows.

use std::{
    collections::BTreeMap,
    fs,
    process::{Output, Stdio},
};

use serde_yaml_ng::Value;
use tokio::process::Command;

use crate::harness::workspace;

/// A step with a script, and the variables of its workflow, its job and itself.
pub struct Step {
    script: String,
    variables: BTreeMap<String, String>,
}

impl Step {
    /// The first step of a job whose name or script begins with the text.
    pub fn of(workflow: &str, job: &str, start: &str) -> Self {
        let text =
            fs::read_to_string(workspace().join(".github/workflows").join(workflow)).unwrap();
        let workflow: Value = serde_yaml_ng::from_str(&text).unwrap();
        // With `shell: bash` a script stops at the first failure, also within a pipe.
        assert_eq!(workflow["defaults"]["run"]["shell"], "bash");
        let job = &workflow["jobs"][job];
        let begins = |value: &Value| value.as_str().is_some_and(|text| text.starts_with(start));
        let mut steps = job["steps"].as_sequence().unwrap().iter();
        let step = steps
            .find(|step| begins(&step["name"]) || begins(&step["run"]))
            .unwrap_or_else(|| panic!("no step begins with {start}"));
        let mut variables = BTreeMap::new();
        for level in [&workflow["env"], &job["env"], &step["env"]] {
            for (name, value) in level.as_mapping().into_iter().flatten() {
                let value = value.as_str().map_or_else(
                    || serde_yaml_ng::to_string(value).unwrap().trim().to_owned(),
                    str::to_owned,
                );
                variables.insert(name.as_str().unwrap().to_owned(), value);
            }
        }
        Self {
            script: step["run"].as_str().unwrap().to_owned(),
            variables,
        }
    }

    /// Runs the step in a folder. `context` has the values of expressions, as `vars.DOMAIN`;
    /// `variables` are added to the environment.
    pub async fn run(
        &self,
        folder: &str,
        context: &[(&str, &str)],
        variables: &[(&str, &str)],
    ) -> Output {
        assert!(
            !self.script.contains("${{"),
            "an expression in a script is not quoted: {}",
            self.script
        );
        let script = format!("{folder}/.step.sh");
        fs::write(&script, &self.script).unwrap();
        let path = shared::platform::environment::variable("PATH").unwrap_or_default();
        let own = self
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), evaluated(value, context)));
        Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", &script])
            .current_dir(folder)
            .env_clear()
            .env("PATH", path)
            .env("HOME", folder)
            .envs(own)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap()
    }
}

/// The value of a variable with `${{ name }}` replaced.
fn evaluated(value: &str, context: &[(&str, &str)]) -> String {
    let Some(expression) = value
        .strip_prefix("${{")
        .and_then(|rest| rest.strip_suffix("}}"))
    else {
        assert!(
            !value.contains("${{"),
            "an expression must be the whole value: {value}"
        );
        return value.to_owned();
    };
    let found = context.iter().find(|(name, _)| *name == expression.trim());
    found
        .unwrap_or_else(|| panic!("no value for {value}"))
        .1
        .to_owned()
}
