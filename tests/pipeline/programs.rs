//! Programs of the pipeline, and the sections of samconfig.toml.

use std::{collections::BTreeMap, fs, path::PathBuf};

use crate::harness::{gateway::installed, workspace};

/// The path of a program; see [`installed`].
pub fn found(program: &str, package: &str) -> Option<PathBuf> {
    installed(program, &format!("pip install {package}"))
}

/// The stack names of samconfig.toml, by section.
pub fn sections() -> BTreeMap<String, String> {
    let text = fs::read_to_string(workspace().join("samconfig.toml")).unwrap();
    let mut sections = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines() {
        if let Some(header) = line.strip_prefix('[') {
            header.split('.').next().unwrap().clone_into(&mut section);
        } else if let Some(name) = line.strip_prefix("stack_name = ") {
            sections.insert(section.clone(), name.trim_matches('"').to_owned());
        }
    }
    sections
}
