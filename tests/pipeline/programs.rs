//! Programs of the pipeline, and the sections of samconfig.toml.

use std::{collections::BTreeMap, fs, path::PathBuf};

use crate::harness::workspace;

/// The path of a program. It must be installed where `CI` is set; elsewhere its absence is printed.
pub fn found(program: &str, package: &str) -> Option<PathBuf> {
    let path = shared::platform::environment::variable("PATH").unwrap_or_default();
    let found = path
        .split(':')
        .map(|folder| PathBuf::from(folder).join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        assert!(
            shared::platform::environment::variable("CI").is_none(),
            "{program} is not installed: pip install {package}"
        );
        eprintln!("SKIPPED: {program} is not installed (pip install {package})");
    }
    found
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
