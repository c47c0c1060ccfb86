//! docs/OPERATIONS.md

use std::fs;

use crate::harness::workspace;

#[test]
fn the_examples_are_shown_as_they_are() {
    let read = |file: &str| fs::read_to_string(workspace().join("docs").join(file)).unwrap();
    let shown = read("OPERATIONS.md");
    for file in ["examples/nginx.conf", "examples/service.yaml"] {
        assert!(
            shown.contains(&read(file)),
            "docs/OPERATIONS.md shows another {file}"
        );
    }
}

/// A heading as links name it: lower case, hyphens for spaces, and nothing but letters, digits and
/// hyphens.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars()
        .filter(|letter| letter.is_alphanumeric() || ['-', '_'].contains(letter))
        .collect()
}

#[test]
fn every_link_to_a_section_leads_to_one() {
    let manual = fs::read_to_string(workspace().join("docs/OPERATIONS.md")).unwrap();
    let anchors: Vec<String> = manual
        .lines()
        .filter_map(|line| line.split_once("# "))
        .map(|(_, heading)| anchor(heading))
        .collect();
    for (file, link) in [
        ("docs/OPERATIONS.md", "](#"),
        ("docs/ARCHITECTURE.md", "](OPERATIONS.md#"),
        ("docs/API.md", "](OPERATIONS.md#"),
        ("README.md", "](docs/OPERATIONS.md#"),
    ] {
        let text = fs::read_to_string(workspace().join(file)).unwrap();
        let links: Vec<&str> = text
            .split(link)
            .skip(1)
            .map(|rest| rest.split(')').next().unwrap())
            .collect();
        assert!(!links.is_empty(), "{file}");
        for link in links {
            assert!(
                anchors.iter().any(|anchor| anchor == link),
                "{file}: #{link}"
            );
        }
    }
}
