//! Settings of the way out: our numbers, their tokens, and whom else may be called.

use super::error::ConfigError;
use super::layers::Layers;
use super::typed::{path, secrets};
use super::value::{NumberRate, Value};
use crate::base::network::Network;
use crate::base::secret::Secret;
use std::path::Path;

/// `whatsapp.numbers`, `.token`, `.token_file`, `.base_url`, `.version` and `egress.*`.
#[derive(Clone, Debug)]
pub struct OutboundConfig {
    /// By which messages go out; each has a token. None: nothing goes out.
    pub numbers: Vec<NumberRate>,
    /// The token of every number that has none of its own.
    pub token: Option<Secret>,
    /// Tokens of numbers.
    pub tokens: Vec<(String, Secret)>,
    /// Origin of the Graph API.
    pub base_url: String,
    /// Its version.
    pub version: String,
    /// What calls out may reach although it is not public.
    pub networks: Vec<Network>,
    /// Authorities that calls out believe besides: the PEM of `egress.ca_file`.
    pub authorities: Option<String>,
}

impl OutboundConfig {
    pub(super) fn read(
        layers: &Layers,
        read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self {
            numbers: match layers.get("whatsapp.numbers") {
                Some(Value::Numbers(numbers)) => numbers.clone(),
                _ => Vec::new(),
            },
            token: secrets(layers, "whatsapp.token").pop(),
            tokens: Vec::new(),
            base_url: text(layers, "whatsapp.base_url"),
            version: text(layers, "whatsapp.version"),
            networks: match layers.get("egress.networks") {
                Some(Value::Networks(networks)) => networks.clone(),
                _ => Vec::new(),
            },
            authorities: authorities(layers, read)?,
        };
        if let Some(file) = path(layers, "whatsapp.token_file") {
            config.read_tokens(layers, file, read)?;
        }
        for (at, NumberRate { number, .. }) in config.numbers.iter().enumerate() {
            let place = || layers.place("whatsapp.numbers");
            if config.numbers[..at].iter().any(|other| other.number == *number) {
                let problem = format!("`whatsapp.numbers`: {number} stands there twice");
                return Err(ConfigError::new(place(), problem));
            }
            let own = config.tokens.iter().any(|(other, _)| other == number);
            if config.token.is_none() && !own {
                let problem = format!("`whatsapp.numbers`: {number} has no token");
                return Err(ConfigError::new(place(), problem)
                    .with_hint("set RINGPOST_WHATSAPP_TOKEN or `whatsapp.token_file`"));
            }
        }
        Ok(config)
    }

    /// One token, or a line for each number.
    fn read_tokens(
        &mut self,
        layers: &Layers,
        file: &Path,
        read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<(), ConfigError> {
        let place = layers.place("whatsapp.token_file");
        let name = file.display();
        let wrong = |what: &str| {
            let problem = format!("`whatsapp.token_file`: {name} {what}");
            ConfigError::new(place.clone(), problem)
        };
        if self.token.is_some() {
            let problem = "`whatsapp.token_file`: `whatsapp.token` is set too; set one of them";
            return Err(ConfigError::new(place.clone(), problem));
        }
        let bytes = read(file).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("is no text"))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.split_once([' ', '\t']) {
                Some((number, token)) => {
                    let token = Secret::new(token.trim().as_bytes());
                    self.tokens.push((number.to_owned(), token));
                }
                None if self.token.is_none() => self.token = Some(Secret::new(line.as_bytes())),
                None => return Err(wrong("holds two tokens without numbers")),
            }
        }
        match self.token.is_none() && self.tokens.is_empty() {
            true => Err(wrong("holds no token")),
            false => Ok(()),
        }
    }
}

/// A file that holds something else is refused here, where its setting is known.
fn authorities(
    layers: &Layers,
    read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Option<String>, ConfigError> {
    let Some(file) = path(layers, "egress.ca_file") else { return Ok(None) };
    let wrong = |what: String| {
        let problem = format!("`egress.ca_file`: {} {what}", file.display());
        ConfigError::new(layers.place("egress.ca_file"), problem)
    };
    let bytes = read(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let pem = String::from_utf8(bytes).ok();
    let pem = pem.filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----"));
    pem.map(Some).ok_or_else(|| wrong("holds no certificate in PEM".to_owned()))
}

fn text(layers: &Layers, key: &str) -> String {
    match layers.get(key) {
        Some(Value::Text(value)) => value.clone(),
        other => panic!("{key}: {other:?}"),
    }
}
