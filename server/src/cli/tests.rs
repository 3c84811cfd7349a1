//! The command line: the words it accepts, and the one sentence with which it refuses the rest.

use super::*;
use clap::CommandFactory;
use moorline_core::{Channels, Limits};
use std::time::Duration;
use tracing::level_filters::LevelFilter;

fn parse_words(words: &[&str]) -> Result<Command, Stop> {
    parse(std::iter::once("moorline").chain(words.iter().copied()).map(OsString::from))
}

fn settings(words: &[&str]) -> Settings {
    match parse_words(words) {
        Ok(Command::Serve(settings)) => *settings,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn refusal(words: &[&str]) -> String {
    match parse_words(words) {
        Err(Stop::Refused(sentence)) => sentence,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn help(words: &[&str]) -> String {
    match parse_words(words) {
        Err(Stop::Answered(answer)) => answer.render().to_string(),
        other => panic!("{words:?}: {other:?}"),
    }
}

/// Parses in a process of its own, since no test may change the variables of the others.
fn with_variables(variables: &[(&str, &str)], words: &[&str]) -> String {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cli::tests::child", "--nocapture"])
        .env_clear()
        .envs(variables.iter().copied())
        .env("CHILD_WORDS", words.join("\n"))
        .output()
        .unwrap();
    let said = String::from_utf8(child.stderr).unwrap();
    let outcome = said.lines().find_map(|line| line.strip_prefix("outcome: "));
    outcome.unwrap_or_else(|| panic!("{variables:?}: {said}")).to_owned()
}

/// The other half of `with_variables`; on its own it has nothing to do.
#[test]
fn child() {
    let Ok(words) = std::env::var("CHILD_WORDS") else { return };
    let words: Vec<&str> = words.lines().collect();
    match parse_words(&words) {
        Ok(Command::Serve(settings)) => eprintln!("outcome: {settings:?}"),
        Err(Stop::Refused(sentence)) => eprintln!("outcome: {sentence}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults_are_those_of_the_core_and_the_design() {
    let settings = settings(&[]);
    assert_eq!(settings.limits, Limits::default());
    assert_eq!(settings.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(settings.channels, Channels { prefix: "moorline".into(), public: "socket".into() });
    assert_eq!(settings.path, "/socket.io/");
    assert_eq!(settings.namespaces, ["/"]);
    assert_eq!(settings.drain, Duration::from_secs(10));
    assert_eq!(settings.log, LevelFilter::INFO);
    assert!(settings.admin.is_none() && settings.node.is_none() && settings.redis.is_none());
    assert!(settings.assets.is_none() && settings.tls.is_none() && !settings.is_open);
    assert!(settings.allow_origins.is_empty() && settings.trusted_proxies.is_empty());
}

#[test]
fn serve_may_be_said_or_left_out() {
    for words in [&["--node", "s1"][..], &["serve", "--node", "s1"], &["serve", "--node=s1"]] {
        assert_eq!(settings(words).node.as_deref(), Some("s1"));
    }
}

#[test]
fn every_flag_reaches_its_setting() {
    let folder = std::env::temp_dir();
    let file = std::env::current_exe().unwrap();
    #[rustfmt::skip]
    let settings = settings(&[
        "--listen", "0.0.0.0:1", "--admin", "127.0.0.1:2", "--node", "s1", "--redis", "redis://127.0.0.1:6379/0",
        "--redis-prefix", "p", "--redis-channel", "c", "--open", "--assets", folder.to_str().unwrap(),
        "--tls-cert", file.to_str().unwrap(), "--tls-key", file.to_str().unwrap(),
        "--allow-origin", "https://a.example", "--allow-origin", "https://b.example",
        "--trusted-proxy", "127.0.0.1", "--trusted-proxy", "10.1.2.3/8", "--ping-interval", "300ms",
        "--ping-timeout", "200ms", "--connect-timeout", "1s", "--max-payload", "2000", "--ack-timeout", "2s",
        "--rate-events", "5", "--rate-bytes", "0", "--limit", "rate_work=7",
        "--drain", "0s", "--limit", "rooms_max=7", "--limit", "ping_jitter=off", "--path", "engine.io",
        "--namespace", "/a", "--namespace", "/", "--namespace", "/a", "--log", "WARN",
    ]);
    assert_eq!(settings.listen.to_string(), "0.0.0.0:1");
    assert_eq!(settings.admin.map(|admin| admin.to_string()).as_deref(), Some("127.0.0.1:2"));
    assert_eq!(settings.node.as_deref(), Some("s1"));
    assert!(settings.redis.is_some() && settings.is_open);
    assert_eq!(settings.channels, Channels { prefix: "p".into(), public: "c".into() });
    assert_eq!(settings.assets, Some(folder));
    assert_eq!(settings.tls.map(|tls| (tls.cert, tls.key)), Some((file.clone(), file)));
    assert_eq!(settings.allow_origins.len(), 2);
    let proxies: Vec<String> = settings.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["127.0.0.1/32", "10.0.0.0/8"]);
    let expected = Limits {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        ping_jitter: false,
        connect_timeout: Duration::from_secs(1),
        ack_timeout: Duration::from_secs(2),
        payload_bytes_max: 2000,
        rate_events: 5,
        rate_bytes: 0,
        rate_work: 7,
        rooms_max: 7,
        ..Limits::default()
    };
    assert_eq!(settings.limits, expected);
    assert_eq!(settings.drain, Duration::ZERO);
    assert_eq!(settings.path, "/engine.io/");
    assert_eq!(settings.namespaces, ["/", "/a"]);
    assert_eq!(settings.log, LevelFilter::WARN);
}

#[test]
fn a_path_begins_and_ends_with_a_slash() {
    for (given, path) in [("/socket.io/", "/socket.io/"), ("a/b", "/a/b/"), ("/a", "/a/"), ("/", "/")] {
        assert_eq!(settings(&["--path", given]).path, path);
    }
}

#[test]
fn a_name_is_resolved() {
    let listen = settings(&["--listen", "localhost:3000"]).listen;
    assert!(listen.ip().is_loopback() && listen.port() == 3000, "{listen}");
}

/// A value that each flag refuses.
const BAD: [(&str, &str); 20] = [
    ("--listen", "3000"),
    ("--admin", "nowhere"),
    ("--node", "s.1"),
    ("--redis", "http://127.0.0.1"),
    ("--redis-prefix", "a b"),
    ("--redis-channel", ""),
    ("--assets", "/does/not/exist"),
    ("--tls-cert", "/does/not/exist"),
    ("--tls-key", "/"),
    ("--allow-origin", "example"),
    ("--trusted-proxy", "10.0.0.0/33"),
    ("--ping-interval", "25"),
    ("--ping-timeout", "0s"),
    ("--connect-timeout", "-1s"),
    ("--max-payload", "0"),
    ("--ack-timeout", "100y"),
    ("--drain", "soon"),
    ("--limit", "rooms=1"),
    ("--path", "/a?b"),
    ("--namespace", "chat"),
];

#[test]
fn a_refusal_is_one_line_that_names_the_flag() {
    for (flag, value) in
        BAD.into_iter().chain([("--log", "loud"), ("--node", "\u{1b}[31m\nred"), ("--path", "")])
    {
        let sentence = refusal(&[&format!("{flag}={value}")]);
        assert!(sentence.contains(&format!("'{flag} <")), "{sentence}");
        assert!(!sentence.contains(char::is_control) && !sentence.starts_with("error"), "{sentence}");
        assert!(!sentence.contains("(from "), "{sentence}");
    }
}

#[test]
fn a_refusal_names_the_variable_if_the_value_came_from_there() {
    for (flag, value) in BAD.into_iter().chain([("--log", "loud"), ("--open", "perhaps")]) {
        let variable = variable(flag);
        let sentence = with_variables(&[(&variable, value)], &[]);
        assert!(sentence.contains(flag) && sentence.contains(&format!("(from {variable})")), "{sentence}");
    }
}

fn variable(flag: &str) -> String {
    format!("MOORLINE_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase())
}

#[test]
fn variables_are_read_and_arguments_win() {
    let variables = [
        ("MOORLINE_NODE", "s1"),
        ("MOORLINE_OPEN", "true"),
        ("MOORLINE_TRUSTED_PROXY", "127.0.0.1,::1"),
        ("MOORLINE_LIMIT", "rooms_max=3,targets_max=4"),
        ("MOORLINE_LOG", "nonsense"),
    ];
    let outcome = with_variables(&variables, &["--node", "s2", "--log", "debug"]);
    for expected in [
        "Some(\"s2\")",
        "is_open: true",
        "[127.0.0.1/32, ::1/128]",
        "rooms_max: 3",
        "targets_max: 4",
        "DEBUG",
    ] {
        assert!(outcome.contains(expected), "{expected} in {outcome}");
    }
}

#[test]
fn a_wrong_value_says_what_is_right() {
    for (words, expected) in [
        (
            ["--ping-interval", "x"],
            "invalid value 'x' for '--ping-interval <DURATION>': expected a duration such as 25s or 500ms",
        ),
        (
            ["--ping-timeout", "0s"],
            "invalid value '0s' for '--ping-timeout <DURATION>': expected 1ms to 1day",
        ),
        (
            ["--log", "loud"],
            "invalid value 'loud' for '--log <LEVEL>' [possible values: error, warn, info, debug, trace]; see moorline --help",
        ),
    ] {
        assert_eq!(refusal(&words), expected);
    }
}

#[test]
fn unknown_words_are_refused_with_a_hint() {
    for words in [&["--pong"][..], &["serve", "serve"], &["stop"], &["--node"], &["--open", "x"]] {
        let sentence = refusal(words);
        assert!(sentence.ends_with("; see moorline --help") && !sentence.contains('\n'), "{sentence}");
    }
    assert!(refusal(&["--ping-intervall", "1s"]).contains("'--ping-interval'"));
    assert!(refusal(&["probe"]).ends_with("; see moorline probe --help"));
}

#[test]
fn a_password_is_never_repeated() {
    for words in [
        &["--redis", "http://u:secret@h"][..],
        &["--redis", "u:secret@h"],
        &["--rediss", "redis://u:secret@h"],
        &["--redis", "redis://h", "redis://u:secret@h"],
        &["redis://u:secret@h"],
        &["--listen", "redis://u:secret@h"],
    ] {
        let sentence = refusal(words);
        assert!(!sentence.contains("secret"), "{sentence}");
    }
    assert!(!format!("{:?}", settings(&["--redis", "redis://u:secret@127.0.0.1:6379"])).contains("secret"));
    let help = with_variables(&[("MOORLINE_REDIS", "nonsense:secret")], &[]);
    assert!(!help.contains("secret") && help.contains("(from MOORLINE_REDIS)"), "{help}");
}

#[test]
fn values_that_exclude_each_other_are_refused() {
    let file = std::env::current_exe().unwrap();
    let file = file.to_str().unwrap();
    for (words, flags) in [
        (&["--admin", "127.0.0.1:3000"][..], ["--admin", "--listen"]),
        (&["--admin", "0.0.0.0:3000"], ["--admin", "--listen"]),
        (&["--listen", "0.0.0.0:9", "--admin", "127.0.0.1:9"], ["--admin", "--listen"]),
        (&["--tls-cert", file], ["--tls-cert", "--tls-key"]),
        (&["--tls-key", file], ["--tls-cert", "--tls-key"]),
        (&["--redis-channel", "moorline:x"], ["--redis-channel", "--redis-prefix"]),
        (&["--max-payload", "5000000"], ["--max-payload", "outbox_bytes_max"]),
        (&["--events", "s"], ["--events", "--redis"]),
        (&["--legacy-peers"], ["--legacy-peers", "--redis"]),
        (&["--limit", "publish_queue_bytes_max=65536"], ["--max-payload", "publish_queue_bytes_max"]),
    ] {
        let sentence = refusal(words);
        assert!(flags.iter().all(|flag| sentence.contains(flag)) && !sentence.contains('\n'), "{sentence}");
    }
    settings(&["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    settings(&["--listen", "127.0.0.1:9", "--admin", "127.0.0.2:9"]);
    settings(&[
        "--max-payload",
        "5000000",
        "--limit",
        "outbox_bytes_max=8000000",
        "--limit",
        "fanout_bytes_max=8000000",
    ]);
}

#[test]
fn help_names_every_variable_and_stays_small() {
    let help = help(&["--help"]);
    let command = ServeFlags::command();
    let flags: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert!((1..=30).contains(&flags.len()), "{} flags", flags.len());
    for flag in flags.into_iter().filter(|flag| !["help", "version"].contains(flag)) {
        assert!(help.contains(&format!("--{flag}")), "--{flag} is missing");
        assert!(help.contains(&format!("[env: {}", variable(flag))), "the variable of --{flag} is missing");
    }
    assert!(help.lines().all(|line| line.chars().count() <= 110), "a line is too long");
    assert!(help.contains("moorline probe https://localhost:8443"), "{help}");
}

#[test]
fn help_and_version_work_in_every_form() {
    for words in [&["-h"][..], &["--help"], &["serve", "--help"]] {
        assert!(help(words).contains("--ping-interval"), "{words:?}");
    }
    assert!(help(&["probe", "-h"]).contains("--insecure"));
    for words in [&["-V"][..], &["--version"], &["serve", "-V"], &["probe", "-V"]] {
        assert_eq!(help(words).trim(), concat!("moorline ", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn probe_takes_a_url_and_whom_to_trust() {
    let options = |words: &[&str]| match parse_words(words) {
        Ok(Command::Probe(options)) => options,
        other => panic!("{words:?}: {other:?}"),
    };
    let plain = options(&["probe", "https://localhost:8443"]);
    assert_eq!((plain.second, plain.trust), (None, probe::Trust::System));
    let both = options(&["probe", "http://h:1", "--to", "http://h:2", "--insecure"]);
    assert_eq!(both.second.map(|endpoint| endpoint.port), Some(2));
    assert_eq!(both.trust, probe::Trust::Anything);
    let file = std::env::current_exe().unwrap();
    let known = options(&["probe", "https://h", "--ca", file.to_str().unwrap()]);
    assert_eq!(known.trust, probe::Trust::File(file.clone()));
    for words in
        [&["probe", "localhost"][..], &["probe", "http://h", "--ca", file.to_str().unwrap(), "--insecure"]]
    {
        assert!(!refusal(words).contains('\n'));
    }
}
