//! Inputs are plain values: arguments, variables and files of one imaginary machine.

use super::*;
use std::path::Path;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Runs `load` on a command line in one string; variables are `NAME=value`, files `(path, text)`.
fn run(args: &str, env: &[&str], files: &[(&str, &str)]) -> Result<Command, ConfigError> {
    let read = |path: &Path| match files.iter().find(|(name, _)| Path::new(name) == path) {
        Some((_, text)) => Ok(text.as_bytes().to_vec()),
        None => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    let args = std::iter::once("ringpost").chain(args.split_whitespace()).map(Into::into);
    let env = env.iter().filter_map(|pair| pair.split_once('='));
    load(Inputs {
        args: args.collect(),
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        read: &read,
    })
}

#[track_caller]
fn serve(args: &str, env: &[&str], file: &str) -> Config {
    match run(args, env, &[("r.toml", file)]) {
        Ok(Command::Serve(config)) => *config,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(args: &str, env: &[&str], file: &str, want: &str) {
    let error = run(args, env, &[("r.toml", file)]).expect_err("must be refused");
    let got = match error.hint() {
        Some(hint) => format!("{error} (hint: {hint})"),
        None => error.to_string(),
    };
    assert!(got.contains(want), "got:  {got}\nwant: {want}");
    assert!(!got.contains("hunter2"), "a secret in a message: {got}");
}

#[test]
fn a_first_try_needs_nothing() {
    let config = serve("", &[], "");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.data, Path::new("./ringpost-data"));
    assert!(config.server.dev && config.server.echo);
    let (keep_days, keep_bytes, keep_rooms) = (None, None, Vec::new());
    let (ack, segment_bytes) = (AckPolicy::Fsync, 64 << 20);
    let log = LogConfig { ack, segment_bytes, keep_days, keep_bytes, keep_rooms };
    assert_eq!(config.log, log);
    assert_eq!(config.limits.sends, Some(Rate { per_s: 10, burst: 30 }));
    assert_eq!(config.limits.connections_per_ip, None);
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let file = "[server]\ndev = true\nshards = 1\ndrain_ms = 1_000\n[log]\nack = 'os'\n\
                [limits]\nsends_per_s = 0\nconnections_max = 0x10";
    let config = serve("--config r.toml", &[], file);
    assert_eq!((config.server.shards, config.server.drain_ms), (1, 1_000));
    assert_eq!(config.log.ack, AckPolicy::Os);
    assert_eq!((config.limits.sends, config.limits.connections_max), (None, Some(16)));
    let env = ["RINGPOST_SERVER_SHARDS=2", "RINGPOST_LOG_ACK=", "PATH=/bin"];
    let config = serve("--config r.toml", &env, file);
    assert_eq!((config.server.shards, config.log.ack), (2, AckPolicy::Os));
    let config = serve("--config r.toml --set server.shards=3", &env, file);
    assert_eq!(config.server.shards, 3);
    let config = serve("serve --config r.toml --shards 4 --set server.shards=3", &env, file);
    assert_eq!(config.server.shards, 4);
}

#[test]
fn secrets_come_from_environment_or_file_and_stay_hidden() {
    let env = [
        "RINGPOST_WHATSAPP_APP_SECRET=hunter2, hunter22",
        "RINGPOST_WHATSAPP_VERIFY_TOKEN=a,b",
        "RINGPOST_PORT=tcp://10.0.0.1",
    ];
    let config = serve("", &env, "");
    let secrets: Vec<&[u8]> = config.whatsapp.app_secrets.iter().map(Secret::expose).collect();
    assert_eq!(secrets, [&b"hunter2"[..], b"hunter22"]);
    assert!(config.whatsapp.verify_token.as_ref().is_some_and(|token| token.matches(b"a,b")));
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(!format!("{config:?}").contains("hunter2"));
    let Ok(Command::ConfigCheck { report, .. }) = run("config check", &env, &[]) else {
        panic!("must check")
    };
    assert!(report.contains("(2 secrets)") && !report.contains("hunter2"), "{report}");
    assert_eq!(report.lines().count(), SETTINGS.len());

    let args = "--dev=false --set auth.secret_file=key";
    let line = format!("{SECRET}\n");
    match run(args, &[], &[("key", &line)]) {
        Ok(Command::Serve(config)) => {
            assert!(config.auth.secret.is_some_and(|secret| secret.matches(SECRET.as_bytes())));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn errors_name_place_key_and_expectation() {
    let of_file = |text: &str, want: &str| refused("--config r.toml", &[], text, want);
    of_file("[server]\n\nlisen = ''", "r.toml:3: `server.lisen`: there is no such setting");
    of_file("[server]\nlisen = ''", "(hint: did you mean `server.listen`?)");
    of_file("listen = ''", "r.toml:1: `listen`: there is no such setting (hint: did you mean `ser");
    of_file("[sever]\nlisten = ''", "did you mean `server.listen`?");
    of_file("[zebra]", "(hint: `ringpost config default` prints all settings)");
    of_file("[server]\nshards = '2'", "r.toml:2: `server.shards`: expected a whole number from 0");
    of_file("[server]\nshards = 999", "from 0 to 256, found 999");
    of_file("[server]\nshards = -1", "from 0 to 256, found -1");
    of_file("[server]\ndev = 1", "`server.dev`: expected true or false, found 1");
    of_file("[server]\nlisten = 'localhost'", "like 127.0.0.1:8080, found \"localhost\"");
    of_file("[log]\nack = 'disk'", "expected one of memory, os, fsync, found \"disk\"");
    of_file("[server]\norigins = ['https://a.b/']", "expected origins like https://");
    of_file("[auth]\nsecret = 'hunter2'", "expected a secret of at least 32 bytes, found a value");
    of_file("[whatsapp]\napp_secret = ['hunter2', '']", "one or more secrets, none empty");
    of_file("[server\n", "r.toml:1: ");
    of_file("[log]\nack = 'os'\nack = 'os'", "r.toml:3: duplicate key");
    refused("", &["RINGPOST_SERVER_SHARDS=x"], "", "variable RINGPOST_SERVER_SHARDS: `server.sha");
    refused("", &["RINGPOST_AUTH_SECRET=hunter2"], "", "expected a secret of at least 32 bytes");
    refused("--shards x", &[], "", "flag --shards: `server.shards`: expected a whole number");
    refused("--set a", &[], "", "flag --set: expected KEY=VALUE");
    refused("--set log.ak=os", &[], "", "did you mean `log.ack`?");
    refused("--set auth.secret=hunter2", &[], "", "environment variable RINGPOST_AUTH_SECRET");
    refused("--config no.toml", &[], "", "cannot read no.toml: entity not found (hint: `ringpost");
    refused("--lisen x", &[], "", "unexpected argument '--lisen' found");
    refused("dance", &[], "", "unrecognized subcommand 'dance'");
}

#[test]
fn settings_are_checked_together() {
    refused("--listen 0.0.0.0:80", &[], "", "does not listen on 0.0.0.0:80");
    refused("--dev --listen [::]:80", &[], "", "(hint: listen on 127.0.0.1, or set");
    assert!(serve("--listen [::1]:0", &[], "").server.dev);
    refused("--config r.toml", &[], "", "`auth.secret` is not set: outside development mode");
    let auth = format!("[auth]\nsecret = '{SECRET}'\nsecret_file = 'k'");
    refused("--config r.toml", &[], &auth, "r.toml:3: `auth.secret_file`: `auth.secret` is set");
    refused("--set auth.secret_file=k", &[], "", "cannot read k: entity not found");
    let key = [format!("RINGPOST_AUTH_SECRET={SECRET}")];
    let config = serve("--dev=false --listen 0.0.0.0:80", &[&key[0]], "");
    assert!(!config.server.echo && !config.server.dev);
    let config = serve("", &["RINGPOST_WHATSAPP_VERIFY_TOKEN=t"], "");
    assert!(config.warnings[0].contains("`whatsapp.app_secret` is not"), "{:?}", config.warnings);
}

#[test]
fn numbers_have_tokens_and_speeds() {
    let file = "[whatsapp]\nnumbers = ['1102', '1103=20']\ntoken_file = 't'\n\
                base_url = 'http://127.0.0.1:8090'\n[egress]\nnetworks = ['10.0.0.0/8']\n";
    let load = |tokens: &str| run("--dev --config r.toml", &[], &[("r.toml", file), ("t", tokens)]);
    let Ok(Command::Serve(config)) = load("1102 hunter2\n1103\thunter2\n") else {
        panic!("two tokens for two numbers");
    };
    let out = &config.whatsapp.outbound;
    let numbers: Vec<_> = out.numbers.iter().map(NumberRate::to_string).collect();
    assert_eq!(numbers, ["1102=80", "1103=20"]);
    assert_eq!((out.base_url.as_str(), out.version.as_str()), ("http://127.0.0.1:8090", "v25.0"));
    assert_eq!((out.tokens.len(), out.token.is_some(), out.networks.len()), (2, false, 1));
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(matches!(load("hunter2\n"), Ok(Command::Serve(config))
        if config.whatsapp.outbound.token.is_some()));
    for (tokens, want) in [
        ("1102 hunter2", "`whatsapp.numbers`: 1103 has no token"),
        ("hunter2\nhunter2", "holds two tokens without numbers"),
        ("\n", "holds no token"),
    ] {
        let error = load(tokens).expect_err(tokens).to_string();
        assert!(error.contains(want) && !error.contains("hunter2"), "{error}");
    }
    let dev = "--dev --config r.toml";
    refused(dev, &[], "[whatsapp]\nnumbers = ['1102']", "(hint: set RINGPOST_WHATSAPP_TOKEN");
    let token = ["RINGPOST_WHATSAPP_TOKEN=hunter2"];
    refused(dev, &token, "[whatsapp]\nnumbers = ['1', '1']", "1 stands there twice");
    refused(dev, &token, file, "`whatsapp.token` is set too");
    for bad in ["'1102=19'", "'1102=1001'", "'x'", "'1102='"] {
        refused(dev, &token, &format!("[whatsapp]\nnumbers = [{bad}]"), "ids of numbers");
    }
    refused(dev, &[], "[whatsapp]\nversion = '25'", "a version like v25.0");
    refused(dev, &[], "[egress]\nnetworks = ['10.0.0.0/33']", "networks like 10.0.0.0/8");
}

#[test]
fn what_is_kept_for_how_long() {
    let file = "[log]\nkeep_days = 90\nkeep_rooms = [\"a=b=7d\", \"support/*=30d\"]\n";
    let config = serve("--config r.toml --dev --set log.keep_mib=2", &[], file);
    assert_eq!((config.log.keep_days, config.log.keep_bytes), (Some(90), Some(2 << 20)));
    let keeps: Vec<_> = config.log.keep_rooms.iter().map(ToString::to_string).collect();
    assert_eq!(keeps, ["a=b=7d", "support/*=30d"]);
    for wrong in ["30d", "=30d", "a=0d", "a=30", "a=99999d", "a=-1d"] {
        let args = format!("--dev --set log.keep_rooms={wrong}");
        refused(&args, &[], "", "expected rooms and days, like support/*=30d");
    }
}

#[test]
fn other_commands() {
    let Ok(Command::Chat(options)) = run("chat --user ada --room tea", &[], &[]) else {
        panic!("must chat")
    };
    assert_eq!((&*options.user, &*options.room), ("ada", "tea"));
    assert_eq!(options.url, "ws://127.0.0.1:8080/ws");
    refused("chat --room tea", &[], "", "--user <NAME>");
    refused("chat --user a --room b --url http://x", &[], "", "expected ws://HOST:PORT/PATH");
    for (args, want) in [
        ("--version", concat!("ringpost ", env!("CARGO_PKG_VERSION"))),
        ("--help", "--listen <ADDR>"),
        ("-h", "--set <KEY=VALUE>"),
        ("config docs", "| `server.listen` | `--listen` | `RINGPOST_SERVER_LISTEN` |"),
    ] {
        match run(args, &[], &[]) {
            Ok(Command::Print(text)) => assert!(text.contains(want), "{args}: {text}"),
            other => panic!("{args}: {other:?}"),
        }
    }
}

#[test]
fn handlers_are_checked_and_rehearsed() {
    let Ok(Command::HandlersCheck(paths)) = run("handlers check a.json b", &[], &[]) else {
        panic!("must check")
    };
    assert_eq!(paths, [Path::new("a.json"), Path::new("b")]);
    let test = |args: &str| match run(args, &[], &[]) {
        Ok(Command::HandlersTest(options)) => options,
        other => panic!("{other:?}"),
    };
    let plain = test("handlers test");
    assert_eq!((plain.data.as_path(), &*plain.since), (Path::new("./ringpost-data"), "1d"));
    assert_eq!((plain.shown_count, plain.json, plain.until), (20, false, None));
    let all = test(
        "handlers test --data d --since 2h --until 1h --file a --file b --room r -n 0 \
         --format json",
    );
    assert_eq!((all.files.len(), all.shown_count, all.json), (2, 0, true));
    assert_eq!((all.until.as_deref(), all.room.as_deref()), (Some("1h"), Some("r")));
    assert_eq!(test("handlers test --handler away").handler.as_deref(), Some("away"));
    refused("handlers", &[], "", "requires a subcommand");
    refused("handlers check", &[], "", "<FILE|FOLDER>");
    refused("handlers test --handler a --file b", &[], "", "cannot be used with");
    refused("handlers test --format yaml", &[], "", "[possible values: text, json]");
}

#[test]
fn authorities_are_read_from_their_file() {
    let args = "--set egress.ca_file=r.toml";
    let pem = "of us\n-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    assert_eq!(serve(args, &[], pem).whatsapp.outbound.authorities.as_deref(), Some(pem));
    refused(args, &[], "hunter2", "`egress.ca_file`: r.toml holds no certificate in PEM");
    refused("--set egress.ca_file=gone", &[], "", "`egress.ca_file`: gone cannot be read");
}

#[test]
fn the_default_file_changes_nothing() {
    let file = default_file();
    let config = serve("--config r.toml --dev", &[], &file);
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    refused("--config r.toml", &[], &file, "`auth.secret` is not set");
}

#[test]
fn the_table_keeps_its_conventions() {
    for setting in SETTINGS {
        let key = setting.key;
        assert!(key.split('.').count() == 2, "{key}: section.name");
        assert!(setting.help.ends_with('.') && setting.help.len() <= 90, "{key}: {}", setting.help);
        assert_eq!(SETTINGS.iter().filter(|other| other.env() == setting.env()).count(), 1);
        assert!(!setting.is_secret() || setting.flag.is_none(), "{key}: secrets have no flag");
        assert!(!setting.is_secret() || matches!(setting.preset, Preset::Nothing), "{key}");
    }
    let sections: Vec<_> = SETTINGS.iter().map(|setting| setting.key.split('.').next()).collect();
    let mut unique = sections.clone();
    unique.dedup();
    let distinct: std::collections::BTreeSet<_> = sections.iter().collect();
    assert_eq!(unique.len(), distinct.len(), "a section stands in one piece");
}
