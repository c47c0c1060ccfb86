//! Links and examples of the Markdown documents

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use crate::harness::workspace;

#[test]
fn the_examples_are_shown_in_full() {
    let read = |file: &str| fs::read_to_string(workspace().join("docs").join(file)).unwrap();
    let shown = read("INTEGRATION.md");
    for file in [
        "examples/nginx.conf",
        "examples/service.yaml",
        "examples/traefik.yaml",
    ] {
        assert!(
            shown.contains(&read(file)),
            "docs/INTEGRATION.md shows an outdated {file}"
        );
    }
    // The part of the Python example that verifies.
    let python = read("examples/service.py");
    let (_, rest) = python.split_once("\nISSUER = ").unwrap();
    let (verifies, _) = rest.split_once("\n\n\nclass ").unwrap();
    assert!(shown.contains(&format!("ISSUER = {verifies}\n```")));
}

#[test]
fn every_example_is_described_and_those_in_yaml_are_valid_yaml() {
    let documents: String = markdown_files()
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    for entry in fs::read_dir(workspace().join("docs/examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(documents.contains(&format!("examples/{name})")), "{name}");
        if path.extension() == Some(OsStr::new("yaml")) {
            let text = fs::read_to_string(&path).unwrap();
            let parsed = serde_yaml_ng::from_str::<serde_yaml_ng::Value>(&text);
            assert!(parsed.is_ok(), "{name}: {parsed:?}");
        }
    }
}

#[test]
fn every_link_leads_to_an_existing_file_and_heading() {
    let mut broken = Vec::new();
    for file in markdown_files() {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(workspace()).unwrap().display();
        for target in link_targets(&text) {
            if !leads_somewhere(&file, &target) {
                broken.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "broken links: {broken:#?}");
}

/// Every Markdown file of the repository, except in build output and hidden folders.
fn markdown_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![workspace()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            if path.is_dir() {
                let is_skipped = (name.starts_with('.') && name != ".github") || name == "target";
                if !is_skipped {
                    folders.push(path);
                }
            } else if path.extension() == Some(OsStr::new("md")) {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty());
    files.sort();
    files
}

fn leads_somewhere(file: &Path, target: &str) -> bool {
    if ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| target.starts_with(scheme))
    {
        return true;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let linked = match path {
        "" => file.to_path_buf(),
        relative => file.parent().unwrap().join(relative),
    };
    if !linked.exists() {
        return false;
    }
    let needs_heading = !anchor.is_empty() && linked.extension() == Some(OsStr::new("md"));
    !needs_heading || anchors(&fs::read_to_string(&linked).unwrap()).contains(anchor)
}

/// The lines outside fenced code blocks.
fn lines_outside_code(text: &str) -> Vec<&str> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        let start = line.trim_start();
        let marks = start.len() - start.trim_start_matches(['`', '~']).len();
        let (mark, rest) = start.split_at(marks);
        match fence {
            Some(open) if mark.starts_with(open) && rest.trim().is_empty() => fence = None,
            Some(_) => {}
            None if marks >= 3 && !rest.contains('`') => fence = Some(mark),
            None => lines.push(line),
        }
    }
    lines
}

/// The text without its code spans (`CommonMark` 0.31, 6.1). A span does not cross a blank line.
fn without_code_spans(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        let (before, opened) = rest.split_at(start);
        kept += before;
        let marks = opened.len() - opened.trim_start_matches('`').len();
        let (mark, content) = opened.split_at(marks);
        let paragraph = content.split("\n\n").next().unwrap_or_default();
        let end = paragraph.match_indices(mark).find(|(index, _)| {
            !paragraph[..*index].ends_with('`') && !paragraph[index + marks..].starts_with('`')
        });
        rest = end.map_or(content, |(index, _)| &content[index + marks..]);
    }
    kept + rest
}

/// The targets of inline links and images, and of link reference definitions.
fn link_targets(text: &str) -> Vec<String> {
    let prose = without_code_spans(&lines_outside_code(text).join("\n"));
    let inline = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let defined = prose
        .lines()
        .filter(|line| line.starts_with('['))
        .filter_map(|line| line.split_once("]: "))
        .map(|(_, target)| target);
    let first_word = |target: &str| {
        let word = target.split_whitespace().next().unwrap_or_default();
        word.trim_matches(['<', '>']).to_owned()
    };
    inline.chain(defined).map(first_word).collect()
}

/// The anchors of all headings. A repeated heading gets a number, as on GitHub.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in lines_outside_code(text) {
        let Some((marks, heading)) = line.split_once(' ') else {
            continue;
        };
        if marks.is_empty() || marks.len() > 6 || marks.chars().any(|mark| mark != '#') {
            continue;
        }
        let plain = anchor(heading);
        let numbered = (1..).map(|number| format!("{plain}-{number}"));
        let free = [plain.clone()]
            .into_iter()
            .chain(numbered)
            .find(|candidate| !anchors.contains(candidate));
        anchors.extend(free);
    }
    anchors
}

/// The anchor that GitHub derives from a heading: its text in lower case, without punctuation, and
/// with hyphens in place of spaces (html-pipeline, `TableOfContentsFilter`).
fn anchor(heading: &str) -> String {
    let heading = heading.trim().trim_end_matches('#').trim_end();
    let mut text = String::new();
    let mut rest = heading;
    // Of a link, the heading contains only the text.
    while let Some((before, after)) = rest.split_once("](") {
        text += before;
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    text += rest;
    text.to_lowercase()
        .chars()
        .filter(|letter| letter.is_alphanumeric() || ['-', '_', ' '].contains(letter))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[test]
fn anchors_follow_the_rule_of_github() {
    for (heading, expected) in [
        ("First deployment", "first-deployment"),
        (
            "`POST /identity/users`: sign up",
            "post-identityusers-sign-up",
        ),
        ("What it costs, and why", "what-it-costs-and-why"),
        ("GET & HEAD", "get--head"),
        ("snake_case and a-hyphen", "snake_case-and-a-hyphen"),
        (
            "The [changelog](../CHANGELOG.md) of today",
            "the-changelog-of-today",
        ),
        ("Über uns", "über-uns"),
    ] {
        assert_eq!(anchor(heading), expected, "{heading}");
    }
    let repeated = anchors("# A\n## A\n```\n# B\n```\n### A\n#C\n");
    assert_eq!(
        repeated.into_iter().collect::<Vec<_>>(),
        ["a", "a-1", "a-2"]
    );
}

#[test]
fn links_in_code_are_ignored() {
    let text = "[a](a.md) and `[b](b.md)` and ``[c](c.md) ` ``\n\n```sh\n[d](d.md)\n```\n\n![e](e.png \"E\") [`f`](f.md#f)\n[g]: <g.md>\n";
    assert_eq!(link_targets(text), ["a.md", "e.png", "f.md#f", "g.md"]);
}
