//! Processes, read from `/proc`.

use std::{fs, process::Command};

/// A child process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    pub id: u32,
    /// Name of its program, truncated by Linux to 15 characters.
    pub name: String,
}

impl Child {
    pub fn is_alive(&self) -> bool {
        read(self.id).is_some_and(|(child, _)| child == *self)
    }

    /// Whether one of its sockets has data that it has not read.
    pub fn has_unread(&self) -> bool {
        let links = fs::read_dir(format!("/proc/{}/fd", self.id))
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let sockets: Vec<String> = links
            .map(|link| link.to_string_lossy().into_owned())
            .collect();
        let connections = fs::read_to_string(format!("/proc/{}/net/tcp", self.id)).unwrap();
        // `<number> <here> <there> <state> <unsent>:<unread> <timer> <retransmissions> <user>
        // <timeout> <inode> ...`
        connections
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .any(|fields| {
                fields.len() > 9
                    && !fields[4].ends_with(":00000000")
                    && sockets.contains(&format!("socket:[{}]", fields[9]))
            })
    }
}

/// All descendants of a process.
pub fn children_of(parent: u32) -> Vec<Child> {
    let ids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children: Vec<Child> = ids
        .filter_map(read)
        .filter(|(_, of)| *of == parent)
        .map(|(child, _)| child)
        .collect();
    let theirs: Vec<Child> = children
        .iter()
        .flat_map(|child| children_of(child.id))
        .collect();
    [children, theirs].concat()
}

/// Sends a signal by its name without `SIG`, as `INT`.
pub fn signal(process: u32, name: &str) {
    assert!(
        Command::new("kill")
            .args([format!("-{name}"), process.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// A live process and its parent: `<id> (<name>) <state> <parent> ...`
fn read(id: u32) -> Option<(Child, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    let mut fields = tail.split(' ');
    let is_dead = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    (!is_dead).then(|| {
        (
            Child {
                id,
                name: name.to_owned(),
            },
            parent,
        )
    })
}
