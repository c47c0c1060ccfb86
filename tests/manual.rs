//! docs/OPERATIONS.md

use std::fs;

use crate::harness::workspace;

#[test]
fn the_examples_are_shown_as_they_are() {
    let read = |file: &str| fs::read_to_string(workspace().join("docs").join(file)).unwrap();
    let shown = read("OPERATIONS.md");
    for file in ["examples/nginx.conf", "examples/service.yaml"] {
        assert!(shown.contains(&read(file)), "docs/OPERATIONS.md shows another {file}");
    }
}
