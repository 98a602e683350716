//! `corerl shm top` where there is no terminal, and where nobody is there to be looked at.

use std::process::{Command, Output};

use rt_control::{Address, Server};

fn top(directory: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corerl"));
    command.args(["shm", "top", "--runtime-dir"]).arg(directory).args(arguments);
    command.output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn without_a_terminal_it_names_what_prints_text() {
    let directory = tempfile::tempdir().unwrap();
    let _runtime = Server::bind(&Address::new(directory.path(), "works", "ph", "main").unwrap()).unwrap();
    let output = top(directory.path(), &[]);
    let (code, message) = said(&output);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("terminal") && message.contains("corerl shm dump"), "{message}");
    assert!(output.stdout.is_empty(), "no escape sequence reaches whoever reads the output");
}

#[test]
fn without_a_runtime_it_says_how_to_start_one() {
    let directory = tempfile::tempdir().unwrap();
    let (code, message) = said(&top(directory.path(), &["--once"]));
    assert_eq!(code, Some(69), "{message}");
    assert!(message.contains("corerl run"), "{message}");
    let (code, message) = said(&top(directory.path(), &["--agent", "works/ph~standby"]));
    assert_eq!((code, message.contains("stands by")), (Some(2), true), "{message}");
}
